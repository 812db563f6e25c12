"""Contamination (§4): what of a benchmark is in training data, word for word or in other words.

training_rows.py   training data in any common format, read for what it asks and what it says
prompts.py         the prompts of benchmarks
overlap.py         runs of 13 words that a prompt and a training row have in common
nearest.py         the training prompts that are most like each prompt of a benchmark, by their words
embedding.py       the same by a model's vectors
measure.py         training data read once and compared
rephrasing.py      a judge model on whether a neighbour asks for the same
constraint_*.py    constraints that training functions check as a benchmark's checkers do
results.py         the report, and training files without the rows that overlap
"""
