"""A run from its folder to its data: what it begins with, its shards, who works on them, what is written where.

`orchestration.py` is the whole of it in order; `store.py` has all names of files. Nothing here knows what a stage does.
"""
