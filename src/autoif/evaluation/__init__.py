"""Evaluation (§4): how good a trained model is, how much better than another, and how sure that is.

pass_rate.py     answers sampled from a model, verified in the sandbox by each prompt's functions
responses.py     answers after their thoughts, sampled or recorded elsewhere
provenance.py    which model is measured, and whether the prompts were held out of its training
results.py       scores.json and per_prompt.jsonl, written and read back
contamination/   what of a benchmark is in training data
followbench/     FollowBench: rules, a judge, HSR, SSR and CSL
general/         GSM8K, MMLU, HumanEval and C-Eval, by lm-evaluation-harness
bootstrap.py     intervals of means and of paired differences
rates.py         intervals of rates, also where a bootstrap can't be trusted
comparison/      several evaluated models on the same prompts: paired differences, tables
plots.py         curves of trainings, and scores with their intervals, as figures
"""
