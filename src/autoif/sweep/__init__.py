"""Sweeps: what a run would give with other thresholds, by its stored verdicts, without a model (docs/planning.md)."""
