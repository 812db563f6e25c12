"""Pages to look at: what a run, trainings and evaluations hold, as one HTML file each that needs no network."""
