"""HTML pages of a run, or of trainings and evaluations: each is one file that needs no network."""
