"""The official checkers of IFEval and IFBench, as their authors wrote them. Not our code: SOURCES.md says whose.

ifbench_2026/     allenai/IFBench at db69a6f: IFBench's newest checkers, and IFEval's
ifbench_2025/     of if-verifiable 0.1.2: IFBench's checkers before the fixes of 2026
surroundings.py   ours: what stands in for chance and for NLTK's old data
"""
