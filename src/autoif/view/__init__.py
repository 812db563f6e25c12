"""`autoif view`: the live page of a run, with reviewers' decisions, and a comparison of two runs (docs/view.md)."""
