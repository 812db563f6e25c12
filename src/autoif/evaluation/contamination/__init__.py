"""Contamination (§4): what of a benchmark is in training data, word for word or in other words.

training_rows.py   training data in the forms that are about, read for what it asks and what it says
prompts.py         the prompts of benchmarks
words.py           texts as words, and words as numbers
overlap.py         runs of 13 words that a prompt and a training row have in common
nearest.py         the training prompts that are most like each prompt of a benchmark
embedding.py       the same by a model's vectors
rephrasing.py      a judge model on whether a neighbour asks for the same
measure.py         training data read once and compared
constraint_*.py    constraints that training functions check as a benchmark's checkers do
cleaning.py        training files without the rows that overlap
reporting.py       what is told of a comparison
results.py         what is written
"""
