"""Contamination (§5 of the method's account): what of a benchmark is in training data, word for word or in other words.

training_rows.py   training data in the forms that are about, read for what it asks and what it says
prompts.py         the prompts of benchmarks
words.py           texts as words, and words as numbers
overlap.py         runs of 13 words that a prompt and a training row have in common
nearest.py         the training prompts that are most like each prompt of a benchmark
measure.py         the whole: read once, compare, report
results.py         what is written
"""
