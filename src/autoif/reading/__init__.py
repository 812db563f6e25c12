"""Reads files that users bring: unpacks and decodes them, cuts them into rows, cleans lines. Knows no stages."""
