"""FollowBench (Jiang et al., 2024): are one to five constraints followed, of six types, and up to which level?

data.py        the prompts, with the instructions that each grew out of
hub.py         the same from the hub
rules.py       what code checks
judging.py     what a judge model is asked, and how its answer is read
recorded.py    responses and judgements that were recorded elsewhere
scoring.py     HSR, SSR and CSL with their intervals
measure.py     the whole: respond, judge, score, write
"""
