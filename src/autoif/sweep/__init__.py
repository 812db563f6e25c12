"""Sweeps: what a run's stored verdicts give with other thresholds, without asking a model (docs/planning.md)."""
