"""What is read from completions files whose pages are damaged."""

from pathlib import Path

import pytest

from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache
from autoif.models.requests import Completion
from autoif.models.salvage import salvage_rows

KEY = "a" * 32


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    file = tmp_path / "completions.sqlite"
    with CompletionCache(file) as cache:
        cache.insert(list(list_rows(KEY, {0: Completion("It is late. " * 50, "stop")}, stage="scoring", usd=0.0)))
    return file.read_bytes()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "header",
    [b"\0\x10", b"\0\0", b"\x12\x34", b"\x55" * 40],
    ids=["too small", "none", "no power of two", "all damaged"],
)
def test_rows_are_read_where_the_header_names_a_page_size_that_there_is_not(tmp_path, content, header):
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(content[:16] + header + content[16 + len(header) :])
    assert isinstance(list(salvage_rows(damaged)), list)
    if len(header) == 2:
        assert [row.key for row in salvage_rows(damaged)] == [KEY]
