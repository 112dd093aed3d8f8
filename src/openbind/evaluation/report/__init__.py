"""One self-contained page, and the same numbers as JSON, of what a space was measured at."""
