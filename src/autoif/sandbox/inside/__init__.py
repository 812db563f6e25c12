"""What runs inside the locked processes: standard library only, imported by the worker without the rest of autoif.

    start ── guard ── zygote ── child
    (exec)   (reaps)  (locked)  (model code; one per function; locked further)

`start` is the program of a fresh interpreter; see docs/sandbox.md for the order in which the locks go on.
What is imported here is copied by every fork: no dataclasses, no pathlib.
"""
