"""What a function may leave behind, and how another function would see it: attacks across calls."""

from dataclasses import dataclass
from typing import Final

HARNESS: Final = """
import json, sys
leaves, sees, folder = json.load(sys.stdin)
for source in (leaves, sees):
    names = {}
    exec(source, names)
    seen = names["evaluate"](folder)
print("\\nANSWER", seen is True)
"""
"""A loop that runs one function after the other in its own process, as the released code does."""


@dataclass(frozen=True)
class Leftover:
    """`leave` is what the first function does, `seen` an expression that is true for the second one if it lasts.

    `response` is a folder to leave things in.
    """

    name: str
    leave: str
    seen: str
    imports: str = "sys"

    @property
    def leaving(self) -> str:
        return f"import os, {self.imports}\ndef evaluate(response):\n    {self.leave}\n    return True"

    @property
    def seeing(self) -> str:
        return f"import os, {self.imports}\ndef evaluate(response): return bool({self.seen})"

    @property
    def both(self) -> str:
        """One function that leaves it with the first text and dies, and looks for it with the second."""
        return (
            f"import os, {self.imports}\ndef evaluate(response):\n    if not response.endswith('/.'):\n        try:\n"
            f"            {self.leave}\n        finally: os._exit(1)\n    return bool({self.seen})"
        )


_BY_NUMBER: Final = "ctypes.c_uint32.from_address(id(104) + 24).value"

LEFTOVERS: Final = (
    Leftover("a builtin", "builtins.sorted = lambda words: []", "sorted('ba') == []", "builtins"),
    Leftover("a new builtin", "builtins.left = 1", "hasattr(builtins, 'left')", "builtins"),
    Leftover("a module's function", "re.findall = None", "re.findall is None", "re"),
    Leftover(
        "a function's default", "textwrap.fill.__defaults__ = (3,)", "textwrap.fill.__defaults__ == (3,)", "textwrap"
    ),
    Leftover("a module's code", "re.fullmatch.__code__ = (lambda *_: 7).__code__", "re.fullmatch('a', 'b') == 7", "re"),
    Leftover("a new module", "sys.modules['left'] = sys", "'left' in sys.modules"),
    Leftover("a module that is gone", "sys.modules['string'] = None", "sys.modules.get('string', 1) is None"),
    Leftover("its own name space", "sys.modules['__main__'].left = 1", "hasattr(sys.modules['__main__'], 'left')"),
    Leftover("a folder to import from", "sys.path.append('/left')", "'/left' in sys.path"),
    Leftover("an import hook", "sys.meta_path.append('left')", "'left' in sys.meta_path"),
    Leftover("a variable of the environment", "os.environ['LEFT'] = '1'", "os.environ.get('LEFT') == '1'"),
    Leftover(
        "a signal handler", "signal.signal(10, signal.SIG_IGN)", "signal.getsignal(10) == signal.SIG_IGN", "signal"
    ),
    Leftover("blocked signals", "signal.pthread_sigmask(0, {10})", "10 in signal.pthread_sigmask(0, ())", "signal"),
    Leftover("a timer", "signal.setitimer(0, 1000)", "signal.getitimer(0)[0] > 0", "signal"),
    Leftover("a mask for new files", "os.umask(0o123)", "os.umask(0o123) == 0o123"),
    Leftover("a current folder", "os.chdir('/usr')", "os.getcwd() == '/usr'"),
    Leftover("a priority", "os.nice(3)", "os.getpriority(0, 0) >= 3"),
    Leftover("a limit", "resource.setrlimit(7, (51, 51))", "resource.getrlimit(7) == (51, 51)", "resource"),
    Leftover("a descriptor", "os.dup2(os.open(os.__file__, 0), 33)", "os.fstat(33).st_size > 0"),
    Leftover("a flag of a common descriptor", "fcntl.fcntl(0, 4, 2048)", "fcntl.fcntl(0, 3) & 2048", "fcntl"),
    Leftover("a closed descriptor", "os.close(2)", "not os.path.exists('/') or os.dup(0) == 2"),
    Leftover("a file", "open(response + '/left', 'w').close()", "os.path.exists(response + '/left')"),
    Leftover("a locale", "locale.setlocale(1, 'C.UTF-8')", "locale.setlocale(1) == 'C.UTF-8'", "locale"),
    Leftover("a time zone", "os.environ.update(TZ='LEFT3:25:45'); time.tzset()", "time.timezone == 12345", "time"),
    Leftover("a precision", "decimal.getcontext().prec = 2", "str(decimal.Decimal(1) / 3) == '0.33'", "decimal"),
    Leftover("a way of rounding", "ctypes.CDLL('libm.so.6').fesetround(0x400)", "0.1 + 0.2 < 0.3", "ctypes"),
    Leftover("a state of chance", "random.seed(7)", "random.random() == random.Random(7).random()", "random"),
    Leftover(
        "an entry of re's cache",
        "re._cache.update({(str, 'left', 0): re.compile('x'), (str, 'left', re.NOFLAG): 1})",
        "re._cache.get((str, 'left', 0)) is not None",
        "re",
    ),
    Leftover(
        "an entry of a function's cache",
        "fnmatch._compile_pattern('left')",
        "fnmatch._compile_pattern.cache_info().currsize",
        "fnmatch",
    ),
    Leftover("a length of numbers", "sys.set_int_max_str_digits(5001)", "sys.get_int_max_str_digits() == 5001"),
    Leftover("a depth of recursion", "sys.setrecursionlimit(7777)", "sys.getrecursionlimit() == 7777"),
    Leftover("a pause of threads", "sys.setswitchinterval(7.5)", "sys.getswitchinterval() == 7.5"),
    Leftover("a threshold of gc", "gc.set_threshold(777)", "gc.get_threshold()[0] == 777", "gc"),
    Leftover("gc switched off", "gc.disable()", "not gc.isenabled()", "gc"),
    Leftover("a gc callback", "gc.callbacks.append(print)", "print in gc.callbacks", "gc"),
    Leftover("a trace function", "sys.settrace(lambda *_: None)", "sys.gettrace() is not None"),
    Leftover("a profile function", "sys.setprofile(lambda *_: None)", "sys.getprofile() is not None"),
    Leftover("a hook for errors", "sys.excepthook = sys.unraisablehook = print", "sys.excepthook is print"),
    Leftover("a last act", "[atexit.register(int) for _ in range(9)]", "atexit._ncallbacks() >= 9", "atexit"),
    Leftover("an output of its own", "sys.stderr = 'left'", "sys.stderr == 'left'"),
    Leftover("a codec", "codecs.register_error('left', print)", "codecs.lookup_error('left')", "codecs"),
    Leftover(
        "a kind of mapping",
        "collections.abc.Mapping.register(str)",
        "isinstance('', collections.abc.Mapping)",
        "collections.abc",
    ),
    Leftover("a way to copy", "copyreg.pickle(int, print)", "int in copyreg.dispatch_table", "copyreg"),
    Leftover(
        "a filter of warnings",
        "warnings.filterwarnings('error', 'left')",
        "any(each[0] == 'error' for each in warnings.filters)",
        "warnings",
    ),
    Leftover("a handler of logs", "logging.root.handlers.append(7)", "7 in logging.root.handlers", "logging"),
    Leftover(
        "a variable of the context",
        "contextvars.ContextVar('left').set(1)",
        "[each for each in contextvars.copy_context() if each.name == 'left']",
        "contextvars",
    ),
    Leftover(
        "a method of a built-in type", "gc.get_referents(str.__dict__)[0]['left'] = print", "hasattr('', 'left')", "gc"
    ),
    Leftover("a number with another value", f"{_BY_NUMBER} = 105", "int('52') * 2 == int('105')", "ctypes"),
    Leftover("a table of characters", "string.ascii_letters = ''", "string.ascii_letters == ''", "string"),
)
