"""Several evaluated models on the same prompts: their scores, and how they differ from the first, paired.

evaluated.py     the form in which folders of all benchmarks are compared
reading.py       from a folder to that form
pass_rate.py, checked.py, followbench.py, general.py    the same for each benchmark
paired.py        pairing, refusals, differences
tables.py        what is shown, as cells
markdown.py, latex.py, html.py              the same cells in three forms
"""

from autoif.evaluation.bootstrap import describe
from autoif.evaluation.comparison.paired import Comparison, compare

__all__ = ["Comparison", "compare", "describe"]
