"""The code that runs around a function inside monty. Its text is fed to each interpreter; no process of ours calls it.

The function's source runs by `exec` in a namespace of its own, which can't reach any of these names. What makes monty
itself stop (time, memory, its own faults) can't be caught here: it ends the call, and the parent tells which it was.
"""

from time import perf_counter

_PLAIN = ("int", "float", "complex", "str", "bytes", "NoneType")
_NOT_CALLABLE = (*_PLAIN, "bool", "list", "tuple", "dict", "set", "frozenset")
_SHOWN_CHARACTERS = 60
_LONGEST_MESSAGE = 4096

names: dict = {}  # type: ignore[type-arg]


def load(source: str) -> list:  # type: ignore[type-arg]
    """Run the source in a module's namespace; return [verdict, seconds, why there is no function, or ""]."""
    began = perf_counter()
    names.clear()
    names["__name__"] = "function"
    verdict, detail = "error", ""
    try:
        exec(source, names)
    except MemoryError:
        verdict, detail = "memory", "while loading"
    except ModuleNotFoundError as error:
        detail = describe(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is why the function does not load
        detail = "does not load: " + describe(error)
    else:
        if "evaluate" not in names:
            detail = "has no evaluate"
        elif name_type(names["evaluate"]) in _NOT_CALLABLE:
            detail = "evaluate is not a function"
    return [verdict, perf_counter() - began, detail]


def judge(text: str) -> list:  # type: ignore[type-arg]
    """Call the function on a text; return [verdict, seconds, detail]."""
    began = perf_counter()
    verdict, detail = "error", ""
    try:
        value = names["evaluate"](text)
    except MemoryError:
        verdict = "memory"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the function's outcome
        detail = describe(error)
    else:
        if value is True:
            verdict = "pass"
        elif value is False:
            verdict = "fail"
        else:
            detail = describe_value(value)
    return [verdict, perf_counter() - began, detail]


def describe(error: BaseException) -> str:
    """Return "Name: message"."""
    name = name_type(error)
    message = str(error)
    if name == "RecursionError":
        return "RecursionError: recursion too deep"
    if name == "ModuleNotFoundError" and message.startswith("No module named '"):
        return "missing module: " + message.split("'")[1]
    return f"{name}: {message[:_LONGEST_MESSAGE]}" if message else name


def describe_value(value: object) -> str:
    """Return what was returned instead of a bool."""
    name = name_type(value)
    if name in _PLAIN:
        try:
            shown = repr(value)[:_SHOWN_CHARACTERS]
        except ValueError:
            shown = "a number of too many digits"
        return f"returned {name}: {shown}"
    if name == "coroutine":
        return "returned a coroutine: evaluate must be a plain function"
    # "<class 're.Match'>": the type's own name leaves the module out.
    return "returned " + repr(type(value))[8:-2]


def name_type(value: object) -> str:
    return type(value).__name__
