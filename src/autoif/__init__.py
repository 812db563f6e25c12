"""AutoIF: instruction-following training data that running code has verified."""
