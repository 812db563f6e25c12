"""The audit: how often a run's functions are right, measured against gold and by what they do.

`run.py` runs the whole audit; each part has a module of its own. Nothing here asks a model, and no stage imports it.
"""
