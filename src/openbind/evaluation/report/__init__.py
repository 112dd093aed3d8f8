"""Reports of evaluations: one self-contained HTML page, and the numbers as plain values."""
