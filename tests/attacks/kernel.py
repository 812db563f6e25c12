"""Attacks on the kernel's interfaces, by number: each call must reach the kernel outside and the filter inside.

Outside they do no harm: where a call could, its arguments make the kernel refuse it after it was let in (EFAULT,
EINVAL, EBADF). A call that never got in gives EPERM, EACCES or ENOSYS.
"""

from pathlib import Path
from typing import Final

from attacks.record import CRASH, FAIL, RETURNS, SUCCEEDS, Attack

NOWHERE: Final = "1"
"""An address that nothing is at: the kernel answers EFAULT."""

CALLS: Final = {
    # what for: (number on x86_64, on aarch64, arguments)
    "trace_itself": (101, 117, "0, 0, 0, 0"),
    "load_a_kernel_program": (321, 280, "99, 0, 0"),
    "make_a_request_ring": (425, 425, "4, ctypes.create_string_buffer(256)"),
    "make_a_queue_of_requests": (206, 0, f"1, {NOWHERE}"),
    "make_a_user_namespace": (272, 97, "0x10000000"),
    "make_a_child_by_the_newer_call": (435, 435, "0, 0"),
    "enter_another_namespace": (308, 268, "-1, 0"),
    "mount_a_file_system": (165, 40, f"{NOWHERE}, {NOWHERE}, {NOWHERE}, 0, 0"),
    "reach_the_session_keys": (250, 219, "0, -3, 0"),
    "add_a_key": (248, 217, f"{NOWHERE}, {NOWHERE}, 0, 0, 0"),
    "ask_for_a_key": (249, 218, f"{NOWHERE}, {NOWHERE}, 0, 0"),
    "handle_its_page_faults": (323, 282, "1"),
    "make_a_file_in_memory": (319, 279, "b'x', 0"),
    "count_the_processor_s_events": (298, 241, f"{NOWHERE}, 0, -1, -1, 0"),
    "take_a_descriptor_of_another": (438, 438, "-1, 0, 0"),
    "handle_another_process": (434, 434, "os.getppid(), 0"),
    "read_process_memory": (310, 270, "os.getpid(), 0, 0, 0, 0, 0"),
    "write_process_memory": (311, 271, "os.getpid(), 0, 0, 0, 0, 0"),
    "compare_processes": (312, 272, "os.getpid(), os.getpid(), 0, 0, 0"),
    "watch_files": (294, 26, "0"),
    "open_a_message_queue": (240, 180, f"{NOWHERE}, 0, 0, 0"),
    "open_shared_memory": (29, 194, "0, 0, 0"),
    "open_a_semaphore": (64, 190, "0, -1, 0"),
    "change_its_personality": (135, 92, "-1"),
    "set_a_timer": (222, 107, "1, 0, ctypes.create_string_buffer(64)"),
    "change_its_name": (157, 167, "15, b'harmless', 0, 0, 0"),
    "make_a_pipe": (293, 59, "ctypes.create_string_buffer(8), 0"),
    "make_an_event": (290, 19, "0, 0"),
    "wait_for_many": (291, 20, "0"),
    "change_its_limits": (302, 261, "0, 4, ctypes.create_string_buffer(16), 0"),
    "add_a_filter": (317, 277, "2, 0, ctypes.byref(ctypes.c_uint32(0x7fff0000))"),
    "add_a_landlock": (444, 444, f"{NOWHERE}, 8, 0"),
    "move_between_descriptors": (275, 76, "-1, 0, -1, 0, 1, 0"),
    "copy_between_files": (326, 285, "-1, 0, -1, 0, 1, 0"),
    "send_a_file": (40, 71, "-1, -1, 0, 1"),
    "queue_a_signal": (129, 138, f"os.getpid(), 18, {NOWHERE}"),
    "signal_a_thread": (234, 131, "os.getpid(), os.getpid(), 0"),
    "hold_memory": (149, 228, "0, 0"),
    "move_its_pages": (279, 239, "0, 0, 0, 0, 0, 0"),
    "choose_its_memory": (238, 237, "0, 0, 0"),
    "make_a_protection_key": (330, 289, "1, 0"),
    "synchronize_every_processor": (324, 283, "0, 0, 0"),
    "change_its_order": (314, 274, f"0, {NOWHERE}, 0"),
    "change_its_disk_order": (251, 30, "0, 0, 0"),
    "ask_about_a_quota": (179, 60, "-1, 0, 0, 0"),
    "name_a_file_by_a_handle": (303, 264, f"-100, {NOWHERE}, {NOWHERE}, {NOWHERE}, 0"),
    "read_the_clock_of_another_process": (228, 113, f"(~os.getppid() << 3) | 2, {NOWHERE}"),
    "ask_for_the_processors_of_another_process": (204, 123, f"os.getppid(), 128, {NOWHERE}"),
    "wait_for_a_lock_of_another_process": (202, 98, f"{NOWHERE}, 6, 0, 0"),
    "try_a_lock_of_another_process": (202, 98, f"{NOWHERE}, 0x88, 0, 0"),
    "merge_its_memory_with_that_of_others": (28, 233, "0, 0, 12"),
    "move_pages_that_others_use_to_the_disk": (28, 233, "0, 0, 21"),
    "wait_for_many_locks": (449, 449, "0, 0, 0, 0, 0"),
    "hide_memory": (447, 447, "0xff"),
    "advise_another_process": (440, 440, "-1, 0, 0, 4, 0"),
    "open_a_file_by_the_newer_call": (437, 437, f"-100, {NOWHERE}, {NOWHERE}, 0"),
    "ask_what_is_in_memory": (27, 232, f"0, 1, {NOWHERE}"),
    "ask_what_of_a_file_is_in_memory": (451, 451, "-1, 0, 0, 0"),
    "ask_about_the_machine": (99, 179, f"{NOWHERE}"),
    "write_out_a_file_system": (306, 267, "-1"),
    "read_only_what_is_in_memory": (327, 286, "-1, 0, 0, 0, 0, 8"),
    "have_a_file_read_ahead": (187, 213, "-1, 0, 0"),
    "make_a_timer_that_is_a_file": (283, 85, "99, 0"),
    "receive_signals_by_a_file": (289, 74, "-1, 0, 0, 0"),
    "enter_a_request_ring": (426, 426, "-1, 0, 0, 0, 0, 0"),
    "change_a_request_ring": (427, 427, "-1, 0, 0, 0"),
    "enter_a_folder_by_a_descriptor": (81, 50, "-1"),
    "wait_for_a_child": (61, 260, "-1, 0, 1, 0"),
    "list_the_mounts": (458, 458, f"{NOWHERE}, 0, 0, 0"),
    "put_a_mark_on_a_file": (188, 5, f"{NOWHERE}, {NOWHERE}, 0, 0, 0"),
}

MACHINE_CALLS: Final = {
    "x86_64": {
        "change_its_descriptor_table": (154, "0, 0, 0"),
        "use_the_machine_s_ports": (172, "9"),
        "change_its_segments": (158, "0x1004, ctypes.create_string_buffer(8)"),
    },
    "aarch64": {},
}

PRIVILEGED_CALLS: Final = {
    # Surely let in only where root has all of its capabilities; elsewhere the kernel itself refuses most of them, some
    # of them only after a look at their arguments.
    "open_a_file_system": (430, 430, f"{NOWHERE}, 0"),
    "restart_the_machine": (169, 142, "0, 0, 0, 0"),
    "load_another_kernel": (246, 104, "0, 99, 0, 0"),
    "load_a_kernel_module": (175, 105, f"{NOWHERE}, 1, 0"),
    "unload_a_kernel_module": (176, 106, f"{NOWHERE}, 0"),
    "change_the_root": (155, 41, f"{NOWHERE}, {NOWHERE}"),
    "add_swap": (167, 224, f"{NOWHERE}, 0"),
    "keep_accounts": (163, 89, f"{NOWHERE}"),
    "set_the_clock": (227, 112, f"0, {NOWHERE}"),
    "rename_the_machine": (170, 161, f"{NOWHERE}, 1"),
    "watch_every_file": (300, 262, "0x7fffffff, 0"),
    "open_a_file_by_a_handle": (304, 265, f"-1, {NOWHERE}, 0"),
    "read_the_kernel_s_log": (103, 116, "10, 0, 0"),
}

OFTEN_LEFT_OUT: Final = frozenset(
    {
        "load_another_kernel", "load_a_kernel_module", "unload_a_kernel_module", "use_the_machine_s_ports",
        "hide_memory", "ask_what_of_a_file_is_in_memory", "list_the_mounts",
    }
)  # fmt: skip
"""Older kernels, and many for virtual machines, are without: then they answer ENOSYS outside as well."""

_CAPABILITIES: Final = sum(1 << number for number in (2, 16, 18, 20, 21, 22, 25, 34))
"""What the privileged calls ask for, from CAP_DAC_READ_SEARCH to CAP_SYSLOG."""


def is_all_mighty() -> bool:
    """Whether this process has the capabilities of a root that no container restricts."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("CapEff:") + 1], 16) & _CAPABILITIES == _CAPABILITIES


def make_call(name: str, x86_64: int, aarch64: int, arguments: str) -> Attack:
    """An attack that succeeds if the kernel let a call in, whatever it then said to its arguments."""
    either = name in OFTEN_LEFT_OUT or (name in PRIVILEGED_CALLS and not is_all_mighty())
    return Attack(
        name,
        f"""
        import ctypes, errno
        number = {x86_64} if os.uname().machine == "x86_64" else {aarch64}
        words = [ctypes.c_long(each) if isinstance(each, int) else each for each in (number, {arguments})]
        result = ctypes.CDLL(None, use_errno=True).syscall(*words)
        return result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS)
        """,
        (FAIL,),
        (SUCCEEDS, RETURNS) if either else (SUCCEEDS,),
    )


GATE = Attack(
    "call_through_the_32_bit_gate",
    """
    import ctypes, mmap
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, getpid; int 0x80; ret
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(start)() == os.getpid()
    """,
    (CRASH,),
)


def list_attacks(machine: str) -> tuple[Attack, ...]:
    """Return the attacks that there are on a machine."""
    own = (make_call(name, number, number, words) for name, (number, words) in MACHINE_CALLS[machine].items())
    common = (make_call(name, *call) for name, call in (CALLS | PRIVILEGED_CALLS).items())
    return (*common, *own, *((GATE,) if machine == "x86_64" else ()))
