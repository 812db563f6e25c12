"""IFEval and IFBench: prompts with instructions that code can check, judged by the official checkers.

data.py             the prompts, of files or of the hub
benchmark.py        their scores
checkers.py         the official checkers, held to one verdict for one response
corrections.py      which of them are provably wrong, and what they would say if they weren't
processes.py        responses through the checkers, on several processes
tokenizer_data.py   what the checkers split and tag text with
"""
