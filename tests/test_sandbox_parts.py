"""Parts of the locked side, tried in this process: what they find, load and try where nothing is locked."""

import errno
import os
import sys
from importlib.util import module_from_spec
from pathlib import Path

import pytest

from autoif.sandbox.exchange import SharedMemory
from autoif.sandbox.inside import imports, self_test


@pytest.mark.parametrize("act", ["landlock", "memory 16"])
def test_what_the_self_test_tries_works_where_nothing_forbids_it(act):
    assert not self_test.evaluate(act)


@pytest.fixture
def finder(tmp_path: Path) -> imports.Finder:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("from . import inner\n")
    (tmp_path / "folder" / "inner.py").write_text("word = 'inner'\n")
    (tmp_path / "single.py").write_text("word = 'single'\n")
    return imports.Finder({"folder": str(tmp_path / "folder"), "single": str(tmp_path / "single.py")})


def test_a_chosen_package_is_found_in_its_folder_and_a_chosen_module_in_its_file(finder, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    import folder  # type: ignore[import-not-found]
    import single  # type: ignore[import-not-found]

    assert (folder.inner.word, single.word) == ("inner", "single")
    for name in ("folder", "folder.inner", "single"):
        monkeypatch.delitem(sys.modules, name)
    assert finder.find_spec("another") is None


def test_mime_types_come_from_their_own_table_alone(finder):
    spec = finder.find_spec("mimetypes")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.knownfiles == []
    assert module.guess_type("a.html") == ("text/html", None)


def test_what_packages_need_of_the_system_is_loaded_beforehand():
    imports.load_libraries()
    assert {"_bz2", "_lzma"} <= sys.modules.keys()


def test_a_kernel_that_does_not_know_a_flag_gives_shared_memory_without_it(monkeypatch):
    create, asked = os.memfd_create, []

    def create_as_before_6_3(name: str, flags: int) -> int:
        asked.append(flags)
        if flags & ~os.MFD_CLOEXEC:
            raise OSError(errno.EINVAL, "Invalid argument")
        return create(name, flags)

    monkeypatch.setattr(os, "memfd_create", create_as_before_6_3)
    memory = SharedMemory("test", 100)
    assert memory.size >= 100
    assert asked[-1] == os.MFD_CLOEXEC
    memory.close()


def test_a_kernel_that_refuses_shared_memory_is_an_error(monkeypatch):
    def refuse(name: str, flags: int) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        SharedMemory("test", 100)
