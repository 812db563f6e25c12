"""General abilities (§4): GSM8K, MMLU, HumanEval and C-Eval, which training on instructions must not cost.

lm-evaluation-harness is the library: its tasks have the prompts, the examples before a question, what is taken from an
answer, and when that is right. Data, storing, subsets by seed, and the execution of code are ours.

data.py          the questions: of files or of the hub, and a few of them by seed
files.py         the forms of the benchmarks' own files
definitions.py   lm-eval's tasks, on our questions
answering.py     a model folder, or an endpoint, that answers them
programs.py      HumanEval's programs, in the sandbox
benchmark.py     from all of these to a benchmark
"""
