"""FollowBench (Jiang et al., 2024): are one to five constraints followed, of six types, and up to which level?

data.py        the prompts, with the instructions that each grew out of, of files or of the hub
rules.py       what code checks
judging.py     what a judge model is asked, how its answer is read, and recorded judgements
benchmark.py   HSR, SSR and CSL
"""
