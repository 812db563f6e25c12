"""Contamination (§4): which prompts of benchmarks are in training data, word for word or rephrased.

training_rows.py   reads training data in any common format
prompts.py         the prompts of benchmarks
overlap.py         runs of 13 words that a prompt and a training row have in common
nearest.py         the nearest training prompts of each benchmark prompt, by words
embedding.py       the same by a model's embeddings
measure.py         reads the training data once and compares it
rephrasing.py      asks a judge model whether a neighbour asks for the same
constraint_*.py    training functions that check the same constraint as a benchmark's checker
search.py          all of this in one call, for `autoif contamination`
results.py         the report, and training files without the rows that overlap
"""
