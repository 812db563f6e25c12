"""Finds faults of functions by their behaviour, without gold: on texts made for the instruction."""
