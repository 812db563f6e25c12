"""Functions that behave alike: clusters of one instruction's functions by their verdicts on the same texts.

    clusters = cluster_functions(verdicts)     # shape (functions, texts); the largest cluster first
    splits = find_splits(clusters)             # texts that tell the clusters apart

Two functions are alike if they give the same verdict on every text, or differ on at most a share of the texts, the
tolerance. An error or a time-out is behaviour, too: it equals only another of its kind.

Functions that one model wrote for one instruction share its misreadings. The size of a cluster says what the model
means most often, not what is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from autoif.records import Verdict
from autoif.thresholds import share


@dataclass(frozen=True, slots=True)
class Cluster:
    """Functions that behave alike."""

    members: tuple[int, ...]
    """Their places among the functions, ascending."""
    verdicts: tuple[Verdict, ...]
    """The cluster's verdict on each text: that of most of its members, from which no member differs by more than the
    tolerance."""

    @property
    def is_constant(self) -> bool:
        """Tell whether the verdict is the same on every text: accepts all, refuses all, or always fails to run."""
        return len(set(self.verdicts)) < 2

    @property
    def pass_rate(self) -> Fraction:
        """The share of the texts that the cluster accepts; 0 of none."""
        return share(self.verdicts.count(Verdict.PASS), len(self.verdicts))


def cluster_functions(verdicts: Sequence[Sequence[Verdict]], tolerance: float = 0.0) -> list[Cluster]:
    """Return the clusters, the largest first; of two equally large ones, that of the earlier function.

    Which functions are together doesn't depend on their order. Functions with equal verdicts are one group. Groups are
    taken by size; each joins the first cluster from whose verdicts it differs on no more than `tolerance` of the texts,
    or begins one. Without a text all functions are alike.

    Args:
        verdicts: shape (functions, texts).
        tolerance: the share of texts, 0 to 1, on which a function may differ from its cluster.

    Raises:
        ValueError: the functions were not run on the same number of texts, or the tolerance is not between 0 and 1.
    """
    if not 0 <= tolerance <= 1:
        raise ValueError(f"a tolerance is a share of the texts, between 0 and 1, not {tolerance}")
    if len({len(row) for row in verdicts}) > 1:
        raise ValueError("functions are compared on the same texts: each needs a verdict on all of them")
    groups: dict[tuple[Verdict, ...], list[int]] = {}
    for place, row in enumerate(verdicts):
        groups.setdefault(tuple(row), []).append(place)
    allowed = Fraction(str(tolerance))
    together: dict[tuple[Verdict, ...], list[int]] = {}
    for row, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        leader = next((each for each in together if allowed and measure_difference(row, each) <= allowed), row)
        together.setdefault(leader, []).extend(members)
    clusters = [Cluster(tuple(sorted(members)), leader) for leader, members in together.items()]
    return sorted(clusters, key=lambda cluster: (-len(cluster.members), cluster.members))


def measure_difference(first: Sequence[Verdict], second: Sequence[Verdict]) -> Fraction:
    """Return the share of the texts on which two functions differ; 0 of none. Raises ValueError: not as many texts."""
    return share(sum(one != other for one, other in zip(first, second, strict=True)), len(first))


def find_splits(clusters: Sequence[Cluster]) -> list[int]:
    """Return the places of the texts on which the clusters' verdicts differ, ascending."""
    columns = zip(*(each.verdicts for each in clusters), strict=True)
    return [place for place, column in enumerate(columns) if len(set(column)) > 1]
