"""The hostile suite: attacks by class, as `tests/test_sandbox_attacks.py` and `benchmarks/hostile.py` run them."""

import os
from typing import Final

from attacks import interpreter, kernel, machine, resources
from attacks.record import Attack

CLASSES: Final[dict[str, tuple[Attack, ...]]] = {
    "files": machine.FILES,
    "/dev/shm, /tmp, System V": machine.SHARED_PLACES,
    "network": machine.NETWORK,
    "processes and threads": machine.PROCESSES,
    "orphans": machine.ORPHANS,
    "signals and timers": machine.SIGNALS,
    "descriptors": machine.DESCRIPTORS,
    "floods of output": machine.OUTPUT,
    "environment and /proc": machine.SURROUNDINGS,
    "memory": resources.MEMORY_USE,
    "processor, in C": resources.PROCESSOR_USE,
    "compile-time bombs": resources.COMPILING,
    "acts while loading": resources.LOADING,
    "decompression bombs": resources.UNPACKING,
    "frames and gc": interpreter.FRAMES,
    "builtins, modules, types": interpreter.BUILTINS,
    "objects that play a bool": interpreter.OBJECTS,
    "exceptions": interpreter.EXCEPTIONS,
    "exits": interpreter.EXITS,
    "recursion and native crashes": interpreter.CRASHES,
    "kernel interfaces": kernel.list_attacks(os.uname().machine),
}

ATTACKS: Final = tuple(attack for group in CLASSES.values() for attack in group)
