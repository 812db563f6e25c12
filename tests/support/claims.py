"""Claims as tests hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoif.runs.claims import Claim, ClaimPlace


@contextmanager
def held(place: Path | ClaimPlace) -> Iterator[Claim]:
    """Hold a claim that is free."""
    claim = Claim(place, "the run")
    assert claim.try_to_take()
    try:
        yield claim
    finally:
        claim.release()
