"""Texts on both sides of what an instruction asks, checked by what a careful person would write for it."""

from collections.abc import Callable, Sequence

from autoif.faults.edges import Edge


def check_sides(edges: Sequence[Edge], obeys: Callable[[str], bool]) -> None:
    """Assert that there are some, and that each side is what it is said to be."""
    assert edges
    assert all(not obeys(edge.breaks) for edge in edges)
    assert all(obeys(edge.obeys) for edge in edges if edge.obeys is not None)
