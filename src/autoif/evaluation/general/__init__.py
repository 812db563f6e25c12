"""General abilities (§4): GSM8K, MMLU, HumanEval and C-Eval, which training on instructions should not harm.

lm-evaluation-harness (lm-eval) defines the prompts, the few-shot examples, how an answer is extracted, and when it is
right. Reading the data, storing answers, choosing subsets by seed and running code are ours.

data.py          the questions, from files or from the hub; all, or a subset by seed
files.py         the formats of the benchmarks' own files
definitions.py   lm-eval's tasks, on our questions
answering.py     the model that answers: a model folder, a GGUF file or an endpoint
programs.py      runs HumanEval's programs in the sandbox
benchmark.py     builds a benchmark from all of these
"""
