"""What is drawn, by matplotlib.

style.py      how every figure looks, and the file that it becomes
curves.py     what trainings logged, put side by side
plots.py      trainings, comparisons of evaluated models, calibration, sweeps
"""
