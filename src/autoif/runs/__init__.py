"""A run in its folder: its inputs, its shards, which process works on them, and which files are written.

Read `orchestration.py` first: it has the whole run in order. `store.py` has all file names. Nothing here knows what a
stage does.
"""
