"""The program of a worker: enters namespaces, forks the zygote, and stays outside as its guard.

Order: imports, namespaces, fork, limits, no_new_privs, capabilities, Landlock, filter, self-test, first request.
"""

import contextlib
import gc
import importlib
import json
import mmap
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.machinery import PathFinder
from typing import Any, Final, NamedTuple, NoReturn

from . import imports, kernel, landlock, locks, result_buffer, seccomp, self_test, wire
from .child import Job
from .zygote import CHILD_ENDED, Descriptors, Settings, Zygote

PRELOADED: Final = (
    "collections", "collections.abc", "functools", "itertools", "json", "math", "operator", "random", "re", "string",
    "time", "types", "typing", "unicodedata", "zlib",
)  # fmt: skip
"""The modules that functions import most, loaded once here. A child that imports another one loads it itself, because
every module here makes every fork slower. `zlib` needs a library that Landlock hides from the child."""

_NOT_STANDARD: Final = frozenset({"site-packages", "dist-packages"})
_GUARDED: Final = (signal.SIGTERM, signal.SIGCHLD)
_IGNORED_BY_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


class State(NamedTuple):
    """One layer, as it is sent to the parent in JSON."""

    name: str
    enforced: bool
    required: bool
    detail: str


def main() -> None:
    """Run as `start.main()`, with the channel to the parent as standard input.

    Takes one argument, a JSON object: texts, source and results (descriptors), ipc, timeout_s, total_s,
    packages (name → path), libraries (folders), memory_bytes and detail_bytes.
    """
    options = json.loads(sys.argv[1])
    sys.argv[:] = ["function"]
    sys.orig_argv[:] = []
    sys.executable = ""
    _restore_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, _GUARDED)
    os.chdir("/")
    channel = _move_channel()
    _warm_up()
    _offer_to_die_first()
    guard = os.getpid()
    entered = locks.enter_namespaces()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    zygote = os.fork()
    if zygote:
        _guard(zygote, (channel, *_find_memory(options)))
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, CHILD_ENDED)
    _become_zygote(channel, options, entered, guard)


def _restore_signals() -> None:
    """Stop ignoring signals that the starting program ignores: while SIGCHLD is ignored, no child can be waited for."""
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _move_channel() -> int:
    """Replace standard input by the null device; return the channel's new, low descriptor."""
    channel = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return channel


def _offer_to_die_first() -> None:
    """Ask the kernel to kill a worker rather than its parent if the whole machine runs out of memory.

    A courtesy rather than a layer: skipped where /proc is read-only.
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def standard_folders() -> list[str]:
    """Return the folders of the standard library. Without site and environment, the path has no others."""
    return [folder for folder in sys.path if os.path.isdir(folder)]


def _guard(zygote: int, descriptors: Sequence[int]) -> NoReturn:
    """Outlive the zygote: kill it on SIGTERM, reap it and any children it left, then exit."""
    for descriptor in descriptors:
        os.close(descriptor)
    os.dup2(0, 2)
    ended, status = 0, 0
    while ended != zygote:
        if signal.sigwait(_GUARDED) == signal.SIGTERM:
            os.kill(zygote, signal.SIGKILL)
        ended, status = os.waitpid(zygote, os.WNOHANG)
    # Without a PID namespace, a child of the zygote outlives it by a moment and becomes the guard's.
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    os._exit(wire.FAILED if os.WIFEXITED(status) and os.WEXITSTATUS(status) else 0)


def _become_zygote(channel: int, options: Mapping[str, Any], entered: Mapping[str, str], guard: int) -> NoReturn:
    settings = Settings(
        options["timeout_s"], options["total_s"], int(options["memory_bytes"]), int(options["detail_bytes"])
    )
    test_source = _read_source(self_test.__file__)
    zygote = Zygote(
        channel,
        settings,
        seccomp.assemble(seccomp.child_program(os.uname().machine)),
    )
    layers = [_namespace_state(kind, why_not, guard, int(options["ipc"])) for kind, why_not in entered.items()]
    packages: dict[str, str] = options["packages"]
    if packages:
        imports.load_libraries()
    layers = [*_lock([*packages.values(), *options["libraries"]]), *layers]
    sys.meta_path.insert(0, imports.Finder(packages))
    os.environ.clear()
    if packages:
        os.environ.update(imports.SURROUNDINGS)
    os.dup2(0, 2)
    if all(layer.enforced for layer in layers if layer.required):
        layers = _test_layers(zygote, test_source, layers, settings)
    hidden = [*standard_folders(), os.path.dirname(__file__), *map(os.path.dirname, packages.values())]
    hello = json.dumps({"layers": layers, "hidden": hidden}).encode()
    wire.write_all(channel, wire.LENGTH.pack(len(hello)) + hello)
    if all(layer.enforced for layer in layers if layer.required):
        gc.collect()
        gc.freeze()
        zygote.serve(_find_memory(options))
    os._exit(0)


def _find_memory(options: Mapping[str, Any]) -> Descriptors:
    return Descriptors(*(int(options[name]) for name in Descriptors._fields))


def _read_source(path: str) -> memoryview:
    with open(path, "rb") as file:
        return memoryview(file.read())


def _warm_up() -> None:
    """Import what functions use, run the parser once, seed `random`: every child inherits all three."""
    warnings.simplefilter("ignore")
    # `random` would seed itself anew in every child, which costs as much as compiling a function and is not wanted.
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    try:
        for name in PRELOADED:
            importlib.import_module(name)
    finally:
        os.register_at_fork = register
    importlib.import_module("random").seed(0)
    compile("def evaluate(response):\n    return True\n", "function", "exec")


def _lock(packages: Sequence[str]) -> list[State]:
    """Apply every layer that children inherit; return which hold, and why others don't. `packages` stay readable."""
    states = []
    for name, lock in (
        ("rlimits", locks.limit_zygote),
        ("no_new_privs", locks.refuse_new_privileges),
        ("capabilities", locks.drop_capabilities),
        ("landlock", partial(_restrict_files, packages)),
        ("seccomp", _filter_calls),
    ):
        try:
            states.append(State(name, True, True, lock()))
        except (OSError, ValueError) as error:
            states.append(
                State(name, False, True, f"the kernel refused it: {getattr(error, 'strerror', None) or error}")
            )
    return states


def _restrict_files(packages: Iterable[str]) -> str:
    """Forbid all files but the packages and the entries of the standard library's folders; return Landlock's version.

    The folders themselves are not readable: rights extend to everything below them, including `site-packages`. So the
    importer must list them beforehand.
    """
    PathFinder.find_spec("_")  # lists every folder of the path
    readable = [*packages, *filter(os.path.exists, imports.READABLE)]
    for folder in standard_folders():
        readable += [entry.path for entry in os.scandir(folder) if entry.name not in _NOT_STANDARD]
        importer: Any = sys.path_importer_cache[folder]
        # Otherwise it would list the folder again when that changes, and then find nothing.
        importer._fill_cache = lambda: None
    return f"v{landlock.restrict(readable)}"


def _filter_calls() -> str:
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    seccomp.assemble(seccomp.zygote_program(os.uname().machine)).install()
    return f"{len(seccomp.ALLOWED) + len(seccomp.BY_ARGUMENT)} calls allowed"


def _namespace_state(kind: str, why_not: str, guard: int, outer_ipc: int) -> State:
    problem = why_not or locks.try_namespace(kind, guard, outer_ipc)
    return State(f"{kind} namespace", not problem, False, problem or "separate")


def _test_layers(zygote: Zygote, source: memoryview, layers: list[State], settings: Settings) -> list[State]:
    """Have a child try what the layers forbid; a layer whose act succeeds is not enforced."""
    acts = {
        "landlock": ("landlock", result_buffer.PASS),
        "seccomp": ("seccomp", result_buffer.PASS),
        "rlimits": ("rlimits", result_buffer.PASS),
        f"memory {settings.memory_bytes + locks.MEBIBYTE}": ("rlimits", result_buffer.MEMORY),
    }
    buffer = result_buffer.ResultBuffer(mmap.mmap(-1, result_buffer.measure(len(acts))), settings.detail_bytes)
    job = Job(source, wire.Texts(wire.pack_texts(list(acts))), len(acts))
    message = zygote.execute(job, buffer, 0)
    reply = wire.unpack_reply(message[wire.LENGTH.size :])
    results = [buffer.read(index, reply.longest_s) for index in range(len(acts))]
    for first, end, verdict, seconds, detail in reply.lost:
        results[first:end] = [(verdict, seconds, detail)] * (end - first)
    failed = {
        layer: f"what it forbids succeeded or failed oddly: {act} {detail!r}"
        for (act, (layer, wanted)), (verdict, _, detail) in zip(acts.items(), results, strict=True)
        if verdict != wanted
    }
    return [
        layer._replace(enforced=False, detail=failed[layer.name]) if layer.name in failed else layer for layer in layers
    ]
