"""Plans: what a run will ask of its models and what it will make, before it is made (docs/planning.md).

yields.py   what others, or this project, measured: yields.toml
pilot.py    what a run folder shows, instruction by instruction
plan.py     from settings and either to answers, tokens, hours, dollars and rows
"""
