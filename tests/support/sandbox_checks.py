"""What every backend of the sandbox must do, as one list; `test_sandbox_backends.py` runs it against each.

A backend may deviate only in its own column, and only for a reason that is written there.
"""

import sys
from dataclasses import dataclass, field

from autoif.records import Verdict

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict

NO_EXIT = "monty has no way to leave: nothing in it reaches its process"
NO_MODULE = "monty has a fixed set of modules, and this is none of them"
NO_SYNTAX = "monty's subset of Python lacks it"
NO_BUILTIN = "monty lacks this name"
NO_SURROGATES = "monty's texts are UTF-8"
RUST_REGEX = "monty's regular expressions are those of Rust"


@dataclass(frozen=True)
class Wanted:
    """Verdicts, one an input; and a regular expression for where the details begin, empty for no detail."""

    verdicts: tuple[Verdict, ...]
    detail: str = ""
    loaded: bool = True
    reason: str = ""
    """Why a backend may differ here."""


@dataclass(frozen=True)
class Check:
    """A function, its inputs, and what is wanted of them."""

    name: str
    source: str
    inputs: tuple[str, ...]
    wanted: Wanted
    deviations: dict[str, Wanted] = field(default_factory=dict)
    """By backend."""

    def wanted_of(self, backend: str) -> Wanted:
        return self.deviations.get(backend, self.wanted)


def check(
    name: str,
    source: str,
    *verdicts: Verdict,
    detail: str = "",
    inputs: tuple[str, ...] = ("x",),
    loaded: bool = True,
    monty: Wanted | None = None,
) -> Check:
    """Return a check; `evaluate` is put around a source that is an expression or the lines of a body."""
    wanted = Wanted(verdicts * len(inputs) if len(verdicts) == 1 else verdicts, detail, loaded)
    return Check(name, source, inputs, wanted, {"monty": monty} if monty else {})


def body(lines: str) -> str:
    """Return the source of a function with this body."""
    return "def evaluate(response):\n" + "".join(f"    {line}\n" for line in lines.split("\n"))


def on_monty(verdict: Verdict, detail: str, reason: str, *, loaded: bool = True, count: int = 1) -> Wanted:
    return Wanted((verdict,) * count, detail, loaded, reason)


def unloaded(detail: str, reason: str) -> Wanted:
    return Wanted((ERROR,), detail, False, reason)


HONEST = [
    check("true", body("return True"), PASS),
    check("false", body("return False"), FAIL),
    check("a_comparison", body("return len(response) > 3"), FAIL, PASS, inputs=("no", "long")),
    check("another_parameter_name", "def evaluate(text: str) -> bool: return text == 'x'", PASS),
    check("a_lambda", "evaluate = lambda response: True", PASS),
    check("no_inputs", body("return True"), inputs=()),
    check(
        "helpers_and_imports",
        "import re\nLONGEST = 3\ndef words(text): return re.findall('[a-z]+', text)\n"
        "def evaluate(response): return len(words(response)) <= LONGEST",
        PASS,
        FAIL,
        inputs=("a b", "a b c d"),
    ),
    check("a_main_block", body("return True") + "if __name__ == '__main__': 1 / 0", PASS),
    check(
        "a_dataclass",
        "from dataclasses import dataclass\n@dataclass\nclass Text:\n    text: 'str'\n"
        "def evaluate(response): return Text(response).text == response",
        PASS,
    ),
    check("printing", body("print(response, flush=True)\nreturn True"), PASS),
    check("a_future_import", "from __future__ import annotations\n" + body("return True"), PASS),
    check("matching", body("match response:\n    case 'x': return True\nreturn False"), PASS, FAIL, inputs=("x", "y")),
    check("a_walrus", body("return (n := len(response)) == 1 and n > 0"), PASS),
    check("try_finally", body("try:\n    1 / 0\nexcept ZeroDivisionError:\n    return True\nfinally:\n    pass"), PASS),
    check(
        "a_closure", body("count = 0\ndef add():\n    nonlocal count\n    count += 1\nadd()\nreturn count == 1"), PASS
    ),
    check("json", body("import json\nreturn json.loads(response)['a'] == 1"), PASS, inputs=('{"a": 1}',)),
    check(
        "a_counter", body("from collections import Counter\nreturn Counter(response)['a'] == 2"), PASS, inputs=("aba",)
    ),
    check(
        "regular_expressions",
        body("import re\nreturn bool(re.fullmatch(r'(?i)[a-z]+(?:\\s\\w+)*[.!?]', response))"),
        PASS,
        FAIL,
        inputs=("Yes it is.", "No"),
    ),
    check(
        "sorted_words",
        body("words = response.split()\nreturn words == sorted(words, key=lambda word: word.lower())"),
        PASS,
        FAIL,
        inputs=("a B c", "b a"),
    ),
]

TEXTS = [
    check(f"text_{name}", body(f"return response == {text!a}"), PASS, inputs=(text,))
    for name, text in {
        "empty": "",
        "nul": "\0",
        "nul_within": "a\0b",
        "astral": "😀",
        "combining": "e\u0301",
        "separator": "\u2028",
        "line_ends": "\r\n\r",
        "mark": "\ufeff",
        "nonbreaking": "\u00a0",
    }.items()
] + [
    check("text_a_megabyte", body("return len(response) == 2 ** 20"), PASS, inputs=("x" * 2**20,)),
    check("text_a_megabyte_of_two_bytes_each", body("return len(response) == 2 ** 19"), PASS, inputs=("é" * 2**19,)),
    check(
        "text_a_lone_surrogate_among_others",
        body("return len(response) == 1"),
        PASS,
        PASS,
        FAIL,
        inputs=("a", "\ud800", "no"),
        monty=Wanted((PASS, ERROR, FAIL), "", True, NO_SURROGATES),
    ),
    check(
        "source_with_a_surrogate_as_escape",
        "def evaluate(response): return response == '\\ud83d'",
        FAIL,
        monty=unloaded("does not load: monty has no lone surrogates", NO_SURROGATES),
    ),
]

VALUES = [
    check("a_number", body("return 7"), ERROR, detail="returned int: 7"),
    check("one", body("return 1"), ERROR, detail="returned int: 1"),
    check("the_word_true", body("return 'True'"), ERROR, detail="returned str: 'True'"),
    check("a_quote", body('return "it\'s"'), ERROR, detail='returned str: "it\'s"'),
    check("nothing", body("pass"), ERROR, detail="returned NoneType: None"),
    check("a_fraction", body("return 0.5"), ERROR, detail="returned float: 0.5"),
    check("bytes", body("return b'a'"), ERROR, detail="returned bytes: b'a'"),
    check("a_list", body("return [True]"), ERROR, detail="returned list$"),
    check("a_huge_number", body("return 10 ** 5000"), ERROR, detail="returned int: a number of too many digits"),
    check("a_huge_text", body("return 'y' * 10 ** 6"), ERROR, detail="returned str: 'y{59}$"),
    check("a_match", "import re\n" + body("return re.match('x', response)"), ERROR, detail="returned re.Match$"),
    check(
        "a_date",
        "import datetime\n" + body("return datetime.date(2020, 1, 1)"),
        ERROR,
        detail="returned datetime.date$",
    ),
    check("a_function", body("return evaluate"), ERROR, detail="returned function$"),
    check(
        "an_object",
        "class Thing: pass\n" + body("return Thing()"),
        ERROR,
        detail="returned function.Thing$",
        monty=on_monty(ERROR, "returned Thing$", "monty's classes don't know their module"),
    ),
    check("a_coroutine", "async def evaluate(response): return True", ERROR, detail="returned a coroutine"),
    check(
        "a_generator",
        body("yield True"),
        ERROR,
        detail="returned a generator",
        monty=unloaded("does not load: NotImplementedError: .* yield", NO_SYNTAX),
    ),
    check(
        "a_generator_expression",
        body("return (c for c in response)"),
        ERROR,
        detail="returned a generator",
        monty=on_monty(ERROR, "returned list$", "monty's generator expressions are lists"),
    ),
    check(
        "a_class_with_a_false_truth",
        "class Thing:\n    def __bool__(self): return False\n" + body("return not Thing()"),
        PASS,
        monty=Wanted((FAIL,), "", True, "monty ignores __bool__: a silent difference"),
    ),
]

ERRORS = [
    check("an_exception", body("return response[9]"), ERROR, detail="IndexError: string index out of range$"),
    check("a_silent_exception", body("raise ValueError"), ERROR, detail="ValueError$"),
    check("a_key", body("return {}[response]"), ERROR, detail="KeyError: 'x'$"),
    check("a_name", body("return undefined"), ERROR, detail="NameError: name 'undefined' is not defined$"),
    check("a_failed_assertion", body("assert response == 'y'"), ERROR, detail="AssertionError$"),
    check(
        "two_arguments_of_an_exception",
        body("raise ValueError('a', 'b')"),
        ERROR,
        detail=r"ValueError: \('a', 'b'\)$",
        monty=on_monty(ERROR, "RuntimeError: Internal error in monty", "a fault of monty's: it can't make them"),
    ),
    check(
        "two_parameters",
        "def evaluate(response, other): return True",
        ERROR,
        detail="TypeError: evaluate.. missing 1 required positional argument: 'other'$",
    ),
    check("recursion", body("return evaluate(response)"), ERROR, detail="RecursionError: recursion too deep$"),
    check(
        "recursion_through_a_sort",
        body("return sorted([1, 2], key=lambda n: evaluate(response))"),
        ERROR,
        detail="RecursionError: recursion too deep$",
    ),
    check("an_interrupt", body("raise KeyboardInterrupt"), ERROR, detail="KeyboardInterrupt$"),
    check("an_exit", body("raise SystemExit"), ERROR, detail="SystemExit$"),
    check(
        "a_time_out_of_its_own",
        body("raise TimeoutError('feed time limit exceeded')"),
        ERROR,
        detail="TimeoutError: feed time limit exceeded$",
    ),
    check(
        "an_exit_through_sys",
        "import sys\n" + body("sys.exit(1)"),
        ERROR,
        detail="SystemExit: 1$",
        monty=on_monty(ERROR, "AttributeError: module 'sys' has no attribute 'exit'", NO_EXIT),
    ),
    check("a_line_break_in_a_message", body("raise ValueError('a\\nb')"), ERROR, detail="ValueError: a b$"),
    check("a_long_message", body("raise ValueError(response * 10 ** 6)"), ERROR, detail="ValueError: x{287}…$"),
    check(
        "a_syntax_error", "def evaluate(response) return", ERROR, detail="does not load: SyntaxError: ", loaded=False
    ),
    check("prose", "Here is the function you asked for:", ERROR, detail="does not load: SyntaxError: ", loaded=False),
    check("deep_nesting", "x = " + "(" * 5000, ERROR, detail="does not load: ", loaded=False),
    check("a_nul_in_the_source", "def evaluate(response): return '\0'", ERROR, detail="does not load: ", loaded=False),
    check(
        "a_surrogate_in_the_source",
        "def evaluate(response): return '\ud800'",
        ERROR,
        detail="does not load: UnicodeEncodeError",
        loaded=False,
    ),
    check(
        "an_error_while_loading",
        "1 / 0",
        ERROR,
        detail="does not load: ZeroDivisionError: division by zero$",
        loaded=False,
    ),
    check("an_exit_while_loading", "raise SystemExit", ERROR, detail="does not load: SystemExit$", loaded=False),
    check(
        "a_time_out_of_its_own_while_loading",
        "raise TimeoutError('no')",
        ERROR,
        detail="does not load: TimeoutError: no$",
        loaded=False,
    ),
    check("no_source", "", ERROR, ERROR, detail="has no evaluate$", loaded=False, inputs=("a", "b")),
    check("another_function", "def check(response): return True", ERROR, detail="has no evaluate$", loaded=False),
    check("no_function", "evaluate = True", ERROR, detail="evaluate is not a function$", loaded=False),
]


def _importing(module: str) -> str:
    return f"import {module}\n" + body("return True")


SHARED_MODULES = (
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "random",
    "re",
    "string",
    "time",
    "typing",
    "unicodedata",
)
CPYTHON_MODULES = ("difflib", "html.parser", "textwrap", "uuid", "xml.etree.ElementTree", "zlib")

IMPORTS = [
    *(check(f"import_{module}", _importing(module), PASS) for module in SHARED_MODULES),
    *(
        check(
            f"import_{module}",
            _importing(module),
            PASS,
            monty=unloaded(f"missing module: {module.partition('.')[0]}$", NO_MODULE),
        )
        for module in CPYTHON_MODULES
    ),
    check(
        "constants_of_string",
        "import string\nfrom string import punctuation as marks\n"
        + body("return all(c in string.ascii_letters + marks for c in response)"),
        PASS,
        FAIL,
        inputs=("Yes!", "é"),
    ),
    check(
        "a_function_of_string",
        "import string\n" + body("return string.capwords(response) == 'X'"),
        PASS,
        monty=on_monty(ERROR, "AttributeError: module 'string' has no attribute 'capwords'", NO_MODULE),
    ),
    check(
        "a_missing_module",
        _importing("nltk"),
        ERROR,
        ERROR,
        detail="missing module: nltk$",
        loaded=False,
        inputs=("a", "b"),
    ),
    check("a_missing_module_in_a_call", body("import nltk\nreturn True"), ERROR, detail="missing module: nltk$"),
    check("a_missing_submodule", body("import os.nothing"), ERROR, detail="missing module: os.nothing$"),
    check(
        "a_missing_name", body("from json import nothing"), ERROR, detail="ImportError: cannot import name 'nothing'"
    ),
    check("an_installed_package", _importing("pydantic"), ERROR, detail="missing module: pydantic$", loaded=False),
    check(
        "a_missing_module_that_is_expected",
        "try:\n    import nltk\nexcept ImportError:\n    nltk = None\n" + body("return nltk is None"),
        PASS,
    ),
]

LIMITS = [
    check("a_hang", body("while True: pass"), TIMEOUT, detail="did not return in time$"),
    check(
        "a_hang_that_catches_everything",
        body("while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
        TIMEOUT,
        detail="did not return in time$",
    ),
    check("a_hang_in_native_code", body("return sum(range(10 ** 12)) > 0"), TIMEOUT, detail="did not return in time$"),
    check("a_long_sleep", body("import time\ntime.sleep(60)"), TIMEOUT, detail="did not return in time$"),
    check("many_sleeps", body("import time\nwhile True: time.sleep(0.2)"), TIMEOUT, detail="did not return in time$"),
    check(
        "asking_for_ever",
        body("while True:\n    try: open(response)\n    except Exception: pass"),
        TIMEOUT,
        detail="did not return in time$",
    ),
    check("sleeps_within_the_limit", body("import time\ntime.sleep(0.3)\nreturn True"), PASS, inputs=("x",) * 3),
    check(
        "a_hang_while_loading",
        "while True: pass",
        TIMEOUT,
        TIMEOUT,
        detail="while loading: did not return in time$",
        loaded=False,
        inputs=("a", "b"),
    ),
    check(
        "a_hang_costs_one_input",
        body("while response == 'hang': pass\nreturn response == 'yes'"),
        PASS,
        TIMEOUT,
        FAIL,
        inputs=("yes", "hang", "no"),
    ),
    check("memory_at_once", body("return len('x' * 10 ** 9) > 0"), MEMORY),
    check("memory_in_steps", body("kept = []\nwhile True: kept.append('x' * 10 ** 5 + str(len(kept)))"), MEMORY),
    check(
        "memory_that_a_function_would_catch",
        body("try:\n    x = []\n    while True: x.append(str(len(x)) * 10 ** 6)\nexcept ValueError:\n    return True"),
        MEMORY,
    ),
    check("a_memory_error", body("raise MemoryError"), MEMORY),
    check("memory_while_loading", "x = 'y' * 10 ** 9", MEMORY, detail="while loading$", loaded=False),
    check(
        "memory_costs_one_input",
        body("if response == 'big': return len('x' * 10 ** 9) > 0\nreturn response == 'yes'"),
        PASS,
        MEMORY,
        FAIL,
        inputs=("yes", "big", "no"),
    ),
    check("a_flood_of_output", body("for n in range(300): print(response * 10 ** 4)\nreturn True"), PASS),
    check(
        "a_slow_expression",
        "import re\n" + body("return re.match('(a+)+$', 'a' * 40 + 'b') is None"),
        TIMEOUT,
        detail="did not return in time$",
        monty=Wanted((PASS,), "", True, RUST_REGEX + ", which take no exponential time here"),
    ),
    check(
        "a_huge_power",
        body("return 10 ** 10 ** 9 > 0"),
        TIMEOUT,
        detail="did not return in time$",
        monty=Wanted((MEMORY,), "", True, "monty knows beforehand what a power takes"),
    ),
]

STATE = [
    check(
        "state_between_inputs",
        "seen = []\n" + body("seen.append(response)\nreturn len(seen) == 2"),
        FAIL,
        PASS,
        FAIL,
        inputs=("a", "b", "c"),
    ),
    check(
        "a_lost_input_loses_the_state",
        "seen = []\n" + body("seen.append(response)\nwhile response == 'hang': pass\nreturn len(seen) == 1"),
        PASS,
        TIMEOUT,
        PASS,
        FAIL,
        inputs=("a", "hang", "b", "c"),
    ),
    check("a_name_of_the_harness", "names = load = judge = None\n" + body("return True"), PASS),
    check(
        "builtins_that_are_hidden",
        "type = str = repr = BaseException = None\n" + body("return 7"),
        ERROR,
        detail="returned int: 7$",
    ),
    check("builtins_that_are_hidden_later", body("global type, str, len\ntype = str = len = None\nreturn True"), PASS),
]

REACH = [
    check(
        "read_a_file",
        body("return open('/etc/hostname').read() != ''"),
        ERROR,
        detail="(the sandbox forbids this: )?PermissionError: .*'/etc/hostname'",
    ),
    check(
        "write_a_file",
        body("open('/tmp/left_by_a_function', 'w').write(response)"),
        ERROR,
        detail="(the sandbox forbids this: )?[A-Za-z]*Error: ",
    ),
    check(
        "list_a_folder",
        body("import os\nreturn len(os.listdir('/etc')) > 0"),
        ERROR,
        detail="(the sandbox forbids this: )?PermissionError: ",
    ),
    check(
        "look_through_a_path",
        body("from pathlib import Path\nreturn Path('/etc/hostname').read_text() != ''"),
        ERROR,
        detail="(the sandbox forbids this: )?PermissionError: ",
    ),
    check(
        "read_the_environment",
        body("import os\nreturn len(os.environ) == 0"),
        PASS,
        monty=on_monty(
            ERROR, "RuntimeError: 'os.environ' is not supported", "monty has no environment, not an empty one"
        ),
    ),
    check(
        "read_a_variable",
        body("import os\nreturn os.environ.get('PATH') is None"),
        PASS,
        monty=on_monty(
            ERROR, "RuntimeError: 'os.environ' is not supported", "monty has no environment, not an empty one"
        ),
    ),
    check(
        "open_a_socket",
        body("import socket\nsocket.create_connection(('127.0.0.1', 80))"),
        ERROR,
        detail="(the sandbox forbids this: )?PermissionError",
        monty=on_monty(ERROR, "missing module: socket$", NO_MODULE),
    ),
    check(
        "run_a_program",
        body("import subprocess\nsubprocess.run(['true'])"),
        ERROR,
        detail="(the sandbox forbids this: )?[A-Za-z]*Error",
        monty=on_monty(ERROR, "missing module: subprocess$", NO_MODULE),
    ),
    check(
        "run_a_command",
        body("import os\nreturn os.system('true') == 0"),
        FAIL,
        monty=on_monty(ERROR, "AttributeError: module 'os' has no attribute 'system'", NO_EXIT),
    ),
    check(
        "leave_at_once",
        body("import os\nos._exit(0)"),
        CRASH,
        detail="exited with status 0$",
        monty=on_monty(ERROR, "AttributeError: module 'os' has no attribute '_exit'", NO_EXIT),
    ),
    check(
        "crash",
        body("import ctypes\nctypes.string_at(0)"),
        CRASH,
        detail="killed by SIGSEGV$",
        monty=on_monty(ERROR, "missing module: ctypes$", NO_MODULE),
    ),
    check(
        "find_the_caller",
        body("import sys\nreturn sys._getframe(1) is not None"),
        PASS,
        monty=on_monty(ERROR, "AttributeError: module 'sys' has no attribute '_getframe'", NO_EXIT),
    ),
    check(
        "read_from_the_terminal",
        body("return input() == ''"),
        ERROR,
        detail="EOFError",
        monty=on_monty(ERROR, "NameError: name 'input' is not defined", NO_BUILTIN),
    ),
]

SUBSET = [
    check(
        "a_subclass",
        "class A(dict): pass\n" + body("return True"),
        PASS,
        monty=unloaded("does not load: NotImplementedError: .* class inheritance", NO_SYNTAX),
    ),
    check(
        "deleting",
        body("del response\nreturn True"),
        PASS,
        monty=unloaded("does not load: NotImplementedError: ", NO_SYNTAX),
    ),
    check(
        "a_method_of_a_type",
        body("return sorted(response, key=str.lower) == ['a', 'B']"),
        PASS,
        inputs=("Ba",),
        monty=on_monty(ERROR, "AttributeError: type object 'str' has no attribute 'lower'", NO_BUILTIN),
    ),
    check(
        "callable",
        body("return callable(evaluate)"),
        PASS,
        monty=on_monty(ERROR, "NameError: name 'callable'", NO_BUILTIN),
    ),
    check(
        "a_verbose_expression",
        "import re\n" + body("return bool(re.match('x  # one', response, re.VERBOSE))"),
        PASS,
        monty=on_monty(ERROR, "AttributeError: module 're' has no attribute 'VERBOSE'", RUST_REGEX),
    ),
    check(
        "an_end_before_a_line_break",
        "import re\n" + body("return bool(re.match('x$', response))"),
        PASS,
        PASS,
        inputs=("x", "x\n"),
        monty=Wanted((PASS, FAIL), "", True, RUST_REGEX + ": a silent difference"),
    ),
    check(
        "a_generator_that_need_not_end",
        body("return any(int(word) for word in response.split())"),
        PASS,
        inputs=("1 one",),
        monty=on_monty(ERROR, "ValueError: invalid literal", "monty's generator expressions are lists"),
    ),
    check(
        "base64_that_goes_on_behind_its_padding",
        "import base64\n" + body("return len(base64.b64decode(response)) > 0"),
        PASS if sys.version_info < (3, 14) else ERROR,
        detail="" if sys.version_info < (3, 14) else "Error: ",
        inputs=("SGVsbG8=SGVs",),
        monty=on_monty(ERROR, "Error: ", "monty reads base64 as Python 3.14 does"),
    ),
    check(
        "empty_matches",
        "import re\n" + body("return len(re.findall('x*', 'axb')) == 4"),
        PASS,
        monty=Wanted((FAIL,), "", True, RUST_REGEX + ": a silent difference"),
    ),
]

CHECKS = [*HONEST, *TEXTS, *VALUES, *ERRORS, *IMPORTS, *LIMITS, *STATE, *REACH, *SUBSET]
