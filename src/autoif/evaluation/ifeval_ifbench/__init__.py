"""IFEval and IFBench: prompts with instructions that code can check, judged by the official checkers.

data.py             the prompts, from files or from the hub
benchmark.py        the scores
checkers.py         the official checkers, made deterministic
corrections.py      checkers that are provably wrong, and the right verdicts
processes.py        runs the checkers in several processes, with a time limit
tokenizer_data.py   the data with which the checkers split and tag text
"""
