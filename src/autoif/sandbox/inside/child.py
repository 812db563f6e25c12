"""The child: loads one function, runs it on its inputs, writes verdicts into the result buffer, and exits.

Model code runs only here. Whatever it does to this process (builtins, frames, descriptors) ends with the process. Names
that the loop needs are bound beforehand, so that tampering with builtins gives a plain error.
"""

import os
import sys
import time
import types
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from . import result_buffer as buffer
from .result_buffer import ResultBuffer
from .wire import Texts

MODULE: Final = "function"
_CODE_FAILED: Final = 70
_PLAIN: Final = frozenset(map(id, (int, float, complex, str, bytes, type(None))))
"""Types by id: comparing types may run code of theirs."""
_SHOWN_CHARACTERS: Final = 60

_exit = os._exit
_clock = time.monotonic
_type, _str, _repr, _callable, _id, _raised = type, str, repr, callable, id, sys.exception
_ModuleNotFoundError, _MemoryError, _RecursionError = ModuleNotFoundError, MemoryError, RecursionError
_REFUSALS: Final = {
    "PermissionError": ("[Errno 1]", "[Errno 13"),
    "itimer_error": ("[Errno 1]",),
    "ItimerError": ("[Errno 1]",),  # as it is called from Python 3.14 on
    "gaierror": ("[Errno -",),
    "URLError": ("<urlopen error [Errno 1]", "<urlopen error [Errno -"),
    "RuntimeError": ("can't start new thread",),
    "FileNotFoundError": ("[Errno 2] No usable temporary directory",),
}
"""How messages begin, by exception, when the standard library passes on a refusal by the kernel."""
_NO_LIBRARY: Final = "cannot open shared object file"
"""In the ImportError of an extension module that needs a system library, which can't be read here."""
_BEGINNING: Final = slice(0, 4096)
_name_of = type.__dict__["__name__"].__get__
_module_of = type.__dict__["__module__"].__get__


class NoEvaluate(Exception):
    """The source defines no function of that name."""


class Job(NamedTuple):
    """A function, and the texts that it is to be run on."""

    source: memoryview | bytes
    texts: Texts
    size: int
    """How many texts there are."""
    until_timeout: bool = False
    """The job ends at the first text that times out."""


def run_function(job: Job, first: int, results: ResultBuffer) -> NoReturn:
    """Write the verdicts of the texts from `first` on into `results`, then end the process.

    The buffer holds the time at which the first of them began, maybe in an earlier process.
    """
    code = _CODE_FAILED
    try:
        evaluate = _load_or_explain(job, first, results)
        if evaluate is not None:
            results.header[1] = 1
            _evaluate_all(evaluate, job, first, results)
        code = 0
    except _MemoryError:
        results.header[2] = buffer.OUT_OF_MEMORY
    finally:
        _exit(code)


def _load_or_explain(job: Job, first: int, results: ResultBuffer) -> Callable[[str], object] | None:
    """Return the function; if there is none, write the reason as the verdict of all inputs and return None."""
    try:
        return load(job.source)
    except _MemoryError:
        verdict, detail = buffer.MEMORY, b"while loading"
    except NoEvaluate as error:
        verdict, detail = buffer.ERROR, str(error).encode()
    except _ModuleNotFoundError as error:
        verdict, detail = buffer.ERROR, _describe(error)
    except:  # noqa: E722 - a class of exceptions can leave BaseException out of its bases
        verdict, detail = buffer.ERROR, b"does not load: " + _describe(_raised())
    results.seconds[first] = _clock() - results.started[0]
    for index in range(first, job.size):
        results.write(index, verdict, detail)
    results.header[0] = job.size
    return None


def load(source: memoryview | bytes) -> Callable[[str], object]:
    """Run the source once, as a module, and return its `evaluate`."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    text = _str(source, "utf-8", "surrogatepass")
    exec(compile(text, MODULE, "exec", dont_inherit=True), module.__dict__)
    try:
        evaluate = module.__dict__["evaluate"]
    except KeyError:
        raise NoEvaluate("has no evaluate") from None
    if not _callable(evaluate):
        raise NoEvaluate("evaluate is not a function")
    found: Callable[[str], object] = evaluate
    return found


def _evaluate_all(evaluate: Callable[[str], object], job: Job, first: int, results: ResultBuffer) -> None:
    header, started, seconds, verdicts = results.header, results.started, results.seconds, results.verdicts
    clock, text_of, passed, failed = _clock, _str, buffer.PASS, buffer.FAIL
    places, body = job.texts.places, job.texts.memory
    begun = started[0]
    for index in range(first, job.size):
        text = text_of(body[places[index] : places[index + 1]], "utf-8", "surrogatepass")
        try:
            value = evaluate(text)
        except _MemoryError:
            results.write(index, buffer.MEMORY, b"")
            started[0] = clock()
            seconds[index] = started[0] - begun
            header[0] = index + 1
            header[2] = buffer.CHILD_LEAVES
            return
        except:  # noqa: E722 - see above
            results.write(index, buffer.ERROR, _describe(_raised()))
        else:
            if value is True:
                verdicts[index] = passed
            elif value is False:
                verdicts[index] = failed
            else:
                results.write(index, buffer.ERROR, _describe_value(value))
        ended = clock()
        seconds[index] = ended - begun
        started[0] = begun = ended
        header[0] = index + 1


def _describe(error: BaseException | None) -> bytes:
    """Return "Name: message", whatever the exception's own methods do."""
    if _type(error) is _ModuleNotFoundError:
        missing = getattr(error, "name", None)
        if _type(missing) is _str:
            return _encode(f"missing module: {missing}")
    kind = _type(error)
    name = _plain(_name_of(kind))
    if kind is _RecursionError:
        return b"RecursionError: recursion too deep"
    try:
        message = _plain(_str(error))
    except:  # noqa: E722 - see above
        message = "(its message can't be shown)"
    if message.startswith(_REFUSALS.get(name, ())) or (name == "ImportError" and _NO_LIBRARY in message):
        name = f"the sandbox forbids this: {name}"
    return _encode(f"{name}: {message}" if message else name)


def _describe_value(value: object) -> bytes:
    """Return what was returned instead of a bool, without calling methods of an unknown type."""
    kind = _type(value)
    name = _plain(_name_of(kind))
    if _id(kind) in _PLAIN:
        try:
            shown = _repr(value)
        except ValueError:
            shown = "a number of too many digits"
        return _encode(f"returned {name}: {shown[:_SHOWN_CHARACTERS]}")
    if name in ("coroutine", "generator", "async_generator"):
        return _encode(f"returned a {name}: evaluate must be a plain function")
    module = _module_of(kind)
    plain = _type(module) is not _str or module == "builtins"
    return _encode(f"returned {name}" if plain else f"returned {module}.{name}")


def _plain(text: str) -> str:
    """Return the beginning of a text as a plain string. The text may be of a subclass that overrides methods."""
    return _str.__getitem__(text, _BEGINNING)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
