"""Evaluation (§4): how good a trained model is, how much better than another, and how sure that is.

benchmark.py        the loop that all evaluations share: get responses, judge, count, score, write
responses.py        responses to judge, sampled or recorded, without their thoughts
results.py          the format of results: scores.json and per_prompt.jsonl
statistics.py       intervals of means, rates and paired differences
comparison.py       several evaluated models on the same prompts
changes.py          what changed between them, by instruction and by answer
provenance.py       which model is measured, and whether the prompts were held out of its training
judge.py            a judge model, whose answers are stored
hub.py              the official data sets, fetched if no file is named

pass_rate.py        your own prompts, judged by their verification functions in the sandbox
ifeval_ifbench/     IFEval and IFBench, by the official checkers
official/           these checkers, as their authors wrote them
followbench/        FollowBench: rules, a judge, HSR, SSR and CSL
general/            GSM8K, MMLU, HumanEval and C-Eval, by lm-evaluation-harness
"""
