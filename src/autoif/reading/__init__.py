"""Files and lines that people have: unpacked, decoded, cut into rows, and cleaned. Nothing here knows of a stage."""
