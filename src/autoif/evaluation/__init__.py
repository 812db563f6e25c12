"""Evaluation (§4): how good a trained model is, how much better than another, and how sure that is.

pass_rate.py     answers sampled from a model, verified in the sandbox by each prompt's functions
results.py       scores.json and per_prompt.jsonl, written and read back
bootstrap.py     intervals of means and of paired differences
comparison.py    several evaluated folders on the same prompts
plots.py         curves of a training, and scores with their intervals, as figures
"""
