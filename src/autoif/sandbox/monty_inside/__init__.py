"""What runs outside of the pipeline for the `monty` backend; imported by its worker without the rest of autoif.

pipeline ──pipes── worker ── monty   a process for each function: empty environment, no host
(monty.py)         (Python)  (Rust)  harness and function
"""
