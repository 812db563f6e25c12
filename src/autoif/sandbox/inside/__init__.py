"""What runs inside the locked processes. Uses the standard library only; workers import it without the rest of autoif.

    start ── guard ── zygote ── child
    (exec)   (reaps)  (locked)  (model code; one per function; locked further)

`start` is the program of a fresh interpreter; docs/sandbox.md tells the order in which the locks go on.
Every fork copies what is imported here, so there are no dataclasses and no pathlib.
"""
