"""Attacks on time and memory: at run time, while compiling, while loading, by unpacking."""

from attacks.record import CRASH, ERROR, FAIL, HANGS, MEMORY, TIMEOUT, Attack

MEMORY_USE = (
    Attack("take_memory_at_once", "return len(bytearray(1 << 28)) > 0", (MEMORY,)),
    Attack("take_memory_in_steps", "return len([bytes(1 << 20) for _ in range(300)]) == 300", (MEMORY,)),
    Attack("take_memory_past_python", "import mmap; return len(mmap.mmap(-1, 1 << 28)) > 0"),
    Attack(
        "take_memory_in_c",
        """
        import ctypes
        allocate = ctypes.CDLL(None).malloc
        allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        return allocate(1 << 28) is not None
        """,
        (FAIL,),
    ),
    Attack("double_a_text", "text = 'x'\nwhile len(text) < 1 << 28:\n    text += text\nreturn True", (MEMORY,)),
    Attack("pad_a_text", "return len(f'{0:>{1 << 28}}') > 0", (MEMORY,)),
    Attack(
        "normalize_a_text_that_grows",
        "import unicodedata as u; return len(u.normalize('NFKC', '\\ufdfa' * (1 << 20))) > 0",
        (MEMORY,),
    ),
    Attack(
        "swallow_the_want_of_memory",
        """
        try:
            return len(bytearray(1 << 28)) > 0
        except MemoryError:
            return False
        """,
        (FAIL,),
    ),
)

# They are after time and not after an answer: where one ends soon, it has gained nothing.
PROCESSOR_USE = (
    Attack("compute_a_big_power", "return (7 ** 7 ** 9) % 10 == 4", (TIMEOUT,), (HANGS,)),
    Attack("sum_in_c", "return sum(range(10 ** 12)) < 0", (TIMEOUT,), (HANGS,)),
    Attack(
        "match_a_slow_expression",
        "import re; return re.match('(a+)+$', 'a' * 64 + 'b') is not None",
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack(
        "drain_an_endless_iterator", "import itertools; return not all(itertools.repeat(True))", (TIMEOUT,), (HANGS,)
    ),
    Attack(
        "compare_tuples_folded_sixty_times",
        "one, other = (), ()\nfor _ in range(60):\n    one, other = (one, one), (other, other)\nreturn one != other",
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack("compute_a_factorial", "import math; return math.factorial(10 ** 8) < 0", (TIMEOUT,), (HANGS,)),
    Attack(
        "print_a_long_number",
        "sys.set_int_max_str_digits(0); return len(str(1 << (1 << 25))) == 0",
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack("sleep", "import time; time.sleep(3600)", (TIMEOUT,), (HANGS,)),
    Attack(
        "wait_for_a_lock_of_its_own",
        "import threading; lock = threading.Lock(); return not (lock.acquire() and lock.acquire())",
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack("wait_for_input", "import select; return select.select([], [], []) is None", (TIMEOUT,), (HANGS,)),
    Attack(
        "hang_in_a_method_of_its_own",
        "class Evil:\n    def __del__(self):\n        while True: pass\nEvil()\nreturn False",
        (TIMEOUT,),
        (HANGS,),
    ),
)

COMPILING = (
    Attack("nest_parentheses", whole="x = " + "(" * 5000, outside=(1,)),
    Attack("nest_operators", whole="x = " + "-" * 300_000 + "1", inside=(ERROR, MEMORY, CRASH), outside=(1, -11)),
    Attack(
        "nest_attributes", whole="x = None\ny = x" + ".x" * 200_000, inside=(ERROR, MEMORY, CRASH), outside=(1, -11)
    ),
    Attack("nest_blocks", whole="\n".join(" " * n + "if 1:" for n in range(99)) + "\n" + " " * 99 + "1", outside=(1,)),
    Attack("nest_formats", whole="x = " + 'f"{' * 200 + "1" + '}"' * 200, outside=(1,)),
    Attack("fold_a_huge_constant", whole="x = 'x' * (1 << 28)", inside=(MEMORY,), outside=(1,)),
    Attack("fold_a_huge_power", whole="x = 7 ** 7 ** 9", inside=(TIMEOUT,), outside=(HANGS,)),
    Attack("fold_a_huge_shift", whole="x = 1 << (1 << 31)", inside=(MEMORY,), outside=(1,)),
    Attack(
        "add_up_many_terms", whole="x = " + "+".join("1" * 100_000), inside=(ERROR, MEMORY, CRASH), outside=(1, -11)
    ),
    Attack(
        "send_an_enormous_source",
        whole="x = [\n" + "'x', 1, None,\n" * 150_000 + "]\ndef evaluate(response): return True",
        inside=(MEMORY,),
    ),
    Attack("write_a_number_of_many_digits", whole="x = " + "9" * 100_000, outside=(1,)),
    Attack(
        "compile_a_bomb_at_run_time",
        "compile('x = ' + '(' * 90 + '1,' * 1_000_000 + ')' * 90, 'x', 'exec'); return True",
        (MEMORY,),
    ),
    Attack(
        "parse_a_bomb_at_run_time",
        "import ast; return len(ast.parse('x = ' + '[],' * 200_000).body) == 1",
        (MEMORY,),
    ),
    Attack(
        "compile_a_huge_expression",
        "import re; re.compile('(?:x{9999}){9999}' * 99); re.compile('(x|' * 90_000 + ')' * 90_000); return True",
        (ERROR,),
        (1,),
    ),
)

LOADING = (
    Attack("hang_while_loading", whole="while True: pass", inside=(TIMEOUT,), outside=(HANGS,)),
    Attack(
        "hang_in_a_decorator",
        whole="""
        def decorate(function):
            while True: pass
        @decorate
        def evaluate(response): return True
        """,
        inside=(TIMEOUT,),
        outside=(HANGS,),
    ),
    Attack(
        "hang_in_a_default",
        whole="def evaluate(response, x=sum(range(10 ** 12))): return True",
        inside=(TIMEOUT,),
        outside=(HANGS,),
    ),
    Attack(
        "hang_in_an_annotation",
        whole="def evaluate(response: all(iter(int, 1)) or sum(range(10 ** 12))): pass\nevaluate.__annotations__",
        inside=(TIMEOUT,),
        outside=(HANGS,),
    ),
    Attack("crash_in_a_class_body", whole="class Evil:\n    import os\n    os.abort()", inside=(CRASH,), outside=(-6,)),
    Attack(
        "leave_in_a_metaclass",
        whole="class M(type):\n    def __init__(*_): import os; os._exit(0)\nclass Evil(metaclass=M): pass",
        inside=(CRASH,),
        outside=(0,),
    ),
    Attack(
        "hang_in_an_import",
        """
        class Evil:
            def find_spec(self, *_):
                while True: pass
        sys.meta_path.insert(0, Evil())
        import nothing_of_that_name
        """,
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack(
        "import_a_module_that_acts",
        """
        import webbrowser
        webbrowser.register("shell", None, webbrowser.GenericBrowser(["/bin/sh", "-c", "exit 0"]))
        return webbrowser.get("shell").open("x")
        """,
        (FAIL,),
    ),
)

UNPACKING = (
    Attack(
        "unpack_a_zlib_bomb",
        "import zlib; return len(zlib.decompress(zlib.compress(bytes(1 << 22)) , bufsize=1 << 28)) > 0",
        (MEMORY,),
    ),
    Attack(
        "unpack_a_gzip_bomb",
        "import gzip; return len(gzip.decompress(gzip.compress(bytes(1 << 22)) * 24)) == 24 << 22",
        (MEMORY,),
    ),
    # Where the interpreter takes bz2 and lzma from libraries of the system, they can't be loaded inside.
    Attack(
        "unpack_a_bz2_bomb",
        "import bz2; return len(bz2.decompress(bz2.compress(bytes(1 << 22)) * 24)) == 24 << 22",
        (MEMORY, ERROR),
    ),
    Attack(
        "unpack_an_lzma_bomb",
        "import lzma; return len(lzma.decompress(lzma.compress(bytes(1 << 22)) * 24)) == 24 << 22",
        (MEMORY, ERROR),
    ),
    Attack(
        "unpack_a_bomb_in_a_bomb",
        """
        import gzip, zlib
        bomb = zlib.compress(gzip.compress(bytes(1 << 22)) * 24)
        return len(bomb) < 5000 and len(gzip.decompress(zlib.decompress(bomb))) == 24 << 22
        """,
        (MEMORY,),
    ),
    Attack(
        "unpack_a_zip_bomb",
        """
        import io, zipfile
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x", "w") as member:
            for _ in range(80):
                member.write(bytes(1 << 20))
        return len(zipfile.ZipFile(file).read("x")) == 80 << 20
        """,
        (MEMORY,),
    ),
    Attack(
        "unpickle_a_bomb",
        "import pickle; return len(pickle.loads(b'cbuiltins\\nbytearray\\n(I268435456\\ntR.')) == 1 << 28",
        (MEMORY,),
    ),
)
