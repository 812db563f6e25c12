"""`autoif serve`: verdicts and rewards over HTTP, for trainers that run elsewhere (docs/service.md)."""
