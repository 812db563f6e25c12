"""How many processors and cores a process may use: its affinity and the quota of its control group decide."""

import os
import re
from pathlib import Path

import pytest

from autoif import processors
from autoif.processors import count_cores, count_processors


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of four cores with two threads each, without limits."""
    for cpu in range(8):
        topology = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    (tmp_path / "group").write_text("0::/one/two\n")
    (tmp_path / "cgroup" / "one" / "two").mkdir(parents=True)
    (tmp_path / "cgroup" / "cpu" / "job").mkdir(parents=True)
    monkeypatch.setattr(processors, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(processors, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(processors, "_OWN_GROUPS", tmp_path / "group")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    return tmp_path


def test_threads_of_one_core_are_two_processors_and_one_core(machine: Path) -> None:
    assert (count_processors(), count_cores()) == (8, 4)


def test_only_those_of_the_affinity_count(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 4, 1})
    assert (count_processors(), count_cores()) == (3, 2)


@pytest.mark.parametrize(
    ("quota", "expected"), [("150000 100000", (2, 2)), ("50000 100000", (1, 1)), ("max 100000", (8, 4))]
)
def test_the_quota_of_the_group_or_of_one_above_it_counts(machine: Path, quota: str, expected: tuple[int, int]) -> None:
    (machine / "cgroup" / "one" / "cpu.max").write_text(quota)
    assert (count_processors(), count_cores()) == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000", (3, 3)), ("-1", (8, 4))])
def test_the_quota_of_older_kernels_counts(machine: Path, quota: str, expected: tuple[int, int]) -> None:
    (machine / "group").write_text("4:memory:/job\n3:cpu,cpuacct:/job\n")
    (machine / "cgroup" / "cpu" / "job" / "cpu.cfs_quota_us").write_text(quota)
    (machine / "cgroup" / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000")
    assert (count_processors(), count_cores()) == expected


def test_a_kernel_that_says_nothing_is_taken_at_its_cpus(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_CPUS", machine / "nothing")
    monkeypatch.setattr(processors, "_OWN_GROUPS", machine / "nothing")
    assert count_processors() == count_cores() == 8


def test_a_system_without_affinity_is_taken_at_its_cpus(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert count_processors() == count_cores() == (os.cpu_count() or 1)


def test_nothing_else_counts_the_processors_of_the_machine() -> None:
    package = Path(processors.__file__).parent
    counting = re.compile(r"\b(?:cpu_count|process_cpu_count|sched_getaffinity)\(")
    asking = {
        file.relative_to(package).as_posix() for file in package.rglob("*.py") if counting.search(file.read_text())
    }
    assert asking == {"processors.py"}
