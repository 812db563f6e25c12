"""Functions that behave alike: clusters of one instruction's functions by their verdicts on the same texts.

    clusters = cluster_functions(verdicts)     # shape (functions, texts); the largest cluster first
    splits = find_splits(clusters)             # texts that tell the clusters apart

Two functions are alike if they give the same verdict, be it an error or a time-out, on every text. The size of a
cluster says what the model means most often, not what is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autoif.records import Verdict


@dataclass(frozen=True, slots=True)
class Cluster:
    """Functions that behave alike."""

    members: tuple[int, ...]
    """Their indices among the functions, ascending."""
    verdicts: tuple[Verdict, ...]
    """The members' common verdict on each text."""

    @property
    def is_constant(self) -> bool:
        """Tell whether the verdict is the same on every text: accepts all, refuses all, or always fails to run."""
        return len(set(self.verdicts)) < 2


def cluster_functions(verdicts: Sequence[Sequence[Verdict]]) -> list[Cluster]:
    """Return the clusters of functions by their verdicts, shape (functions, texts).

    The largest comes first; of two equally large ones, that of the earlier function. Raises ValueError: rows differ in
    length.
    """
    if len({len(row) for row in verdicts}) > 1:
        raise ValueError("functions are compared on the same texts: each needs a verdict on all of them")
    alike: dict[tuple[Verdict, ...], list[int]] = {}
    for place, row in enumerate(verdicts):
        alike.setdefault(tuple(row), []).append(place)
    clusters = [Cluster(tuple(members), row) for row, members in alike.items()]
    return sorted(clusters, key=lambda cluster: (-len(cluster.members), cluster.members))


def find_splits(clusters: Sequence[Cluster]) -> list[int]:
    """Return the indices of the texts on which the clusters' verdicts differ, ascending."""
    columns = zip(*(each.verdicts for each in clusters), strict=True)
    return [place for place, column in enumerate(columns) if len(set(column)) > 1]
