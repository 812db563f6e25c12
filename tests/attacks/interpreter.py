"""Attacks from within: frames and gc, builtins and modules, objects that play a bool, exits, native crashes."""

from attacks.record import CRASH, ERROR, FAIL, HANGS, MEMORY, TIMEOUT, Attack

FORGE = "forged = lambda *_: os.write(1, b'\\nANSWER True\\n')\n"

FRAMES = (
    Attack(
        "change_the_harness_through_its_frame",
        FORGE + "sys._getframe(1).f_globals['print'] = forged; return False",
        (FAIL,),
    ),
    Attack(
        "change_every_name_space_that_gc_finds",
        FORGE
        + """
import gc
for each in gc.get_objects():
    if type(each) is dict and "__builtins__" in each:
        each["print"] = forged
return False
        """,
        (FAIL,),
    ),
    Attack(
        "change_the_harness_by_its_code",
        """
        import ctypes
        frame = sys._getframe(1)
        names = [index for index, name in enumerate(frame.f_code.co_names) if name == "print"]
        frame.f_globals["forged"] = lambda *_: os.write(1, b"ANSWER True")
        first = id(frame.f_code.co_names) + tuple.__basicsize__
        for index in names:
            ctypes.cast(first + 8 * index, ctypes.POINTER(ctypes.py_object))[0] = "forged"
        return False
        """,
        (FAIL,),
    ),
    Attack(
        "trace_its_caller",
        """
        def trace(frame, event, argument):
            frame.f_globals["print"] = lambda *_: os.write(1, b"ANSWER True")
            return trace
        sys._getframe(1).f_trace = trace
        sys.settrace(trace)
        return False
        """,
        (FAIL,),
    ),
    Attack(
        "find_the_expected_answer",
        """
        import gc
        return any("judge" in each for each in gc.get_objects() if type(each) is dict and "response" in each)
        """,
        (FAIL,),
    ),
)

BUILTINS = (
    Attack("replace_print", "import builtins\n" + FORGE + "builtins.print = forged; return False", (FAIL,)),
    Attack(
        "replace_an_output",
        """
        class Evil:
            def write(self, text): return os.write(1, b"ANSWER True")
            def flush(self): pass
        sys.stdout = Evil()
        return False
        """,
        (FAIL,),
    ),
    Attack(
        "replace_every_builtin",
        """
        import builtins
        for name in ("print", "eval", "len", "type", "str", "repr", "callable", "memoryview", "BaseException", "range"):
            setattr(builtins, name, lambda *_: os.write(1, b"ANSWER True"))
        return 7
        """,
        (ERROR,),
    ),
    Attack(
        "replace_functions_of_every_module",
        """
        import time
        act = os.write
        for module in list(sys.modules.values()):
            for name in ("monotonic", "_exit", "kill", "fork", "print", "unpack_from", "pack"):
                try:
                    setattr(module, name, lambda *_: act(1, b"ANSWER True"))
                except Exception:
                    pass
        return False
        """,
        (FAIL, CRASH),
    ),
    Attack("empty_the_list_of_modules", "sys.modules.clear(); return 7", (ERROR,), judge="'os' not in sys.modules"),
    Attack(
        "change_a_type_of_the_interpreter",
        """
        import gc
        gc.get_referents(int.__dict__)[0]["is_evil"] = True
        return 7
        """,
        (ERROR,),
        judge="value.is_evil",
    ),
    Attack(
        "make_two_and_two_five",
        """
        import ctypes
        ctypes.c_uint32.from_address(id(104) + 24).value = 105
        return int("52")
        """,
        (ERROR,),
        judge="value + value == int('105')",
    ),
)

OBJECTS = (
    Attack(
        "is_true_when_asked", "class Evil:\n    def __bool__(self): return True\nreturn Evil()", judge="bool(value)"
    ),
    Attack(
        "equals_everything",
        "class Evil:\n    def __eq__(self, other): return True\n    __hash__ = None\nreturn Evil()",
        judge="value == True",
    ),
    Attack("says_it_is_a_bool", "class Evil:\n    __class__ = bool\nreturn Evil()", judge="isinstance(value, bool)"),
    Attack(
        "says_it_by_a_property",
        "class Evil:\n    __class__ = property(lambda self: bool)\nreturn Evil()",
        judge="isinstance(value, bool)",
    ),
    Attack(
        "is_an_int",
        "class Evil(int):\n    def __repr__(self): return 'True'\nreturn Evil(1)",
        judge="repr(value) == 'True'",
    ),
    Attack(
        "is_a_text",
        "class Evil(str):\n    def __eq__(self, other): return other is True\nreturn Evil()",
        judge="value == True",
    ),
    Attack("is_a_float", "class Evil(float): pass\nreturn Evil(1)", judge="value == True"),
    Attack(
        "is_named_bool",
        "class bool(int): pass\nreturn bool(1)",
        judge="type(value).__name__ == 'bool' and value == True",
    ),
    Attack(
        "becomes_true_when_packed",
        "class Evil:\n    def __reduce__(self): return bool, (1,)\nreturn Evil()",
        judge="__import__('pickle').loads(__import__('pickle').dumps(value)) is True",
    ),
    Attack(
        "has_a_type_that_lies",
        """
        class M(type):
            def __instancecheck__(self, other): return True
            def __eq__(self, other): return True
            __hash__ = type.__hash__
        class Evil(metaclass=M): pass
        return Evil()
        """,
        judge="type(value) == bool",
    ),
    Attack(
        "has_a_type_that_can_not_be_compared",
        """
        class M(type):
            def __eq__(self, other): 1 / 0
            __hash__ = type.__hash__
        class Evil(metaclass=M): pass
        return Evil()
        """,
        outside=(1,),
        judge="type(value) == bool",
    ),
    Attack(
        "exits_when_its_type_is_compared",
        """
        class M(type):
            def __eq__(self, other): os._exit(0)
            __hash__ = type.__hash__
        class Evil(metaclass=M): pass
        return Evil()
        """,
        outside=(0,),
        judge="type(value) == bool",
    ),
    Attack(
        "exits_when_its_type_is_named",
        """
        class Name(str):
            def __format__(self, form): os._exit(0)
            def __eq__(self, other): os._exit(0)
            __hash__ = str.__hash__
            encode = __format__
        return type(Name("bool"), (), {})()
        """,
        outside=(0,),
        judge="type(value).__name__ == 'bool'",
    ),
    Attack(
        "hides_its_type",
        "class M(type):\n    def __getattribute__(self, name): 1 / 0\nclass Evil(metaclass=M): pass\nreturn Evil()",
        outside=(1,),
        judge="type(value).__name__ == 'bool'",
    ),
    Attack(
        "exits_when_shown",
        "class Evil:\n    def __repr__(self): os._exit(0)\n    __str__ = __repr__\nreturn Evil()",
        outside=(0,),
        judge="str(value) == 'True'",
    ),
    Attack(
        "hangs_when_asked",
        "class Evil:\n    def __bool__(self):\n        while True: pass\n    __repr__ = __bool__\nreturn Evil()",
        outside=(HANGS,),
        judge="bool(value)",
    ),
    Attack(
        "acts_when_forgotten",
        "class Evil:\n    def __del__(self): os._exit(0)\nreturn Evil()",
        (CRASH, ERROR),
        (0,),
        judge="globals().pop('value') and 1",
    ),
    Attack("is_a_coroutine", "async def act(): return True\nreturn act()", judge="bool(value)"),
    Attack("is_not_implemented", "return NotImplemented", judge="value is not False"),
)

EXCEPTIONS = (
    Attack("fails_to_be_shown", "class Evil(Exception):\n    def __str__(self): 1 / 0\nraise Evil", outside=(1,)),
    Attack(
        "exits_when_shown_as_an_exception",
        "class Evil(Exception):\n    def __str__(self): os._exit(0)\nraise Evil",
        (CRASH,),
        (0,),
    ),
    Attack(
        "hangs_when_shown",
        "class Evil(Exception):\n    def __str__(self):\n        while True: pass\nraise Evil",
        (TIMEOUT,),
        (HANGS,),
    ),
    Attack(
        "is_shown_as_megabytes",
        "class Evil(Exception):\n    def __str__(self): return 'x' * (1 << 23)\nraise Evil",
        outside=(1,),
    ),
    Attack(
        "is_shown_as_more_than_there_is",
        "class Evil(Exception):\n    def __str__(self): return 'x' * (1 << 28)\nraise Evil",
        (ERROR, MEMORY),
        (1,),
    ),
    Attack(
        "is_shown_as_an_evil_text",
        """
        class Text(str):
            encode = None
            def __getitem__(self, at): os._exit(0)
        class Evil(Exception):
            def __str__(self): return Text("x")
        raise Evil
        """,
        outside=(1,),
    ),
    Attack(
        "raises_another_when_shown",
        "class Evil(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Evil",
        outside=(1, 0),
    ),
    Attack(
        "interrupts_when_shown",
        "class Evil(Exception):\n    def __str__(self): raise KeyboardInterrupt\nraise Evil",
        outside=(1,),
    ),
    Attack(
        "is_no_exception_by_its_order",
        """
        class M(type):
            def mro(self): return [self, object]
        class Evil(Exception, metaclass=M): pass
        raise Evil
        """,
        outside=(1,),
    ),
    Attack(
        "is_no_exception_while_loading",
        whole="""
        class M(type):
            def mro(self): return [self, object]
        class Evil(Exception, metaclass=M): pass
        raise Evil
        """,
        outside=(1,),
    ),
    Attack(
        "is_named_by_an_evil_text",
        """
        class Name(str):
            def __format__(self, form): os._exit(0)
            def __hash__(self): os._exit(0)
            encode = __format__
        Evil = type("x", (Exception,), {})
        Evil.__name__ = Name("x")
        raise Evil
        """,
        outside=(1,),
    ),
    Attack("is_no_exception_of_python", "class Evil(BaseException): pass\nraise Evil", outside=(1,)),
    Attack("is_named_by_a_surrogate", "raise type('\\udcff', (Exception,), {})('\\ud800')", outside=(1,)),
    Attack(
        "is_a_group_without_end",
        "group = Exception()\nfor _ in range(5000):\n    group = ExceptionGroup('x', [group])\nraise group",
        outside=(1, -11),
    ),
    Attack(
        "causes_itself",
        "error = ValueError('x')\nerror.__cause__ = error.__context__ = error\nraise error",
        outside=(1,),
    ),
    Attack("plays_a_missing_module", "raise ModuleNotFoundError('x', name='x' * (1 << 20))", outside=(1,)),
)

EXITS = (
    Attack("exit_with_success", "os._exit(0)", (CRASH,), (0,)),
    Attack(
        "exit_by_number",
        "import ctypes; ctypes.CDLL(None).syscall({'x86_64': 231, 'aarch64': 94}[os.uname().machine], 0)",
        (CRASH,),
        (0,),
    ),
    Attack("exit_in_c", "import ctypes; ctypes.CDLL(None).exit(0)", (CRASH,), (0,)),
    Attack("leave_by_exception", "sys.exit(0)", (ERROR,), (0,)),
    Attack("leave_by_a_base_exception", "raise GeneratorExit", (ERROR,), (1,)),
    Attack("interrupt", "raise KeyboardInterrupt", (ERROR,), (-2,)),
    Attack("leave_a_last_act", "import atexit; atexit.register(os._exit, 5); return False", (FAIL,), (5,)),
    Attack(
        "leave_a_last_act_in_c",
        "import ctypes; libc = ctypes.CDLL(None); libc.__cxa_atexit(libc.abort, 0, 0); return False",
        (FAIL,),
        (-6,),
    ),
    Attack(
        "exit_when_rubbish_is_collected",
        "import gc; gc.callbacks.append(lambda *_: os._exit(0)); gc.collect(); return True",
        (CRASH,),
        (0,),
    ),
    Attack("leave_a_hook_for_its_own_error", "sys.excepthook = lambda *_: os._exit(0)\n1 / 0", (ERROR,), (0,)),
    Attack(
        "leave_a_thread_at_exit",
        "import threading; threading._register_atexit(os._exit, 6); return False",
        (FAIL,),
        (6,),
    ),
)

CRASHES = (
    Attack("abort", "os.abort()", (CRASH,), (-6,)),
    Attack("read_address_zero", "import ctypes; return ctypes.string_at(0) == b''", (CRASH,), (-11,)),
    Attack("overwrite_none", "import ctypes; ctypes.memset(id(None), 255, 64); return False", (CRASH, FAIL), (-11, -6)),
    Attack(
        "overflow_the_stack_of_c",
        """
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, prot=7)
        # On x86-64 a call of itself; on ARM64 the same after saving the return address.
        code.write(bytes.fromhex("e8fbffffff" if os.uname().machine == "x86_64" else "fd7bbfa9ffffff97"))
        start = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)() > 0
        """,
        (CRASH,),
        (-11,),
    ),
    Attack(
        "run_no_instruction",
        """
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(bytes.fromhex("0f0b" if os.uname().machine == "x86_64" else "00000000"))
        start = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)() > 0
        """,
        (CRASH,),
        (-4,),
    ),
    Attack("recurse", "def descend(): return descend()\nreturn descend()", outside=(1,)),
    Attack(
        "recurse_without_a_limit",
        "sys.setrecursionlimit(1 << 30)\ndef descend(): return sorted([0], key=lambda _: descend())\nreturn descend()",
        (CRASH, MEMORY, ERROR),
        (-11, 1),
    ),
    Attack(
        "recurse_in_c",
        "chain = iter(())\nfor _ in range(300_000):\n    chain = map(int, chain)\nreturn next(chain, None) == 0",
        (CRASH,),
        (-11,),
    ),
    Attack(
        "run_forged_byte_code",
        "exec((lambda: 0).__code__.replace(co_code=bytes([100, 255]) * 99, co_consts=())); return True",
        (CRASH,),
        (-11, -6),
    ),
)
