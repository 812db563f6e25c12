"""How right a run's functions are: measured against gold, and by what they do.

`run.py` is the whole audit; each part has a module of its own. Nothing here asks a model, and no stage imports it.
"""
