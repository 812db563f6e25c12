"""The `monty` backend's side outside of the pipeline. Its worker imports this without the rest of autoif.

pipeline ──pipes── worker ── monty   a process for each function: empty environment, no host
(monty.py)         (Python)  (Rust)  harness and function
"""
