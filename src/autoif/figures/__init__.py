"""Figures drawn with matplotlib.

style.py      the look of all figures, and saving them
curves.py     logged metrics of trainings, side by side
plots.py      trainings, comparisons of evaluated models, calibration, sweeps
"""
