"""`autoif view`: a run's page, live, with a reviewer's hand, and two runs side by side (docs/view.md)."""
