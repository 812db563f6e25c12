"""FollowBench (Jiang et al., 2024): does a model follow one to five constraints of six types, and up to which level?

data.py        the prompts, each with its earlier levels, from files or from the hub
rules.py       the constraints that code checks
judging.py     the question to a judge model, how its answer is read, and recorded judgements
benchmark.py   HSR, SSR and CSL
"""
