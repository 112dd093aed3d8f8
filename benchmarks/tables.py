"""Tables as Markdown, printed row by row while a benchmark runs."""

from __future__ import annotations


def print_heads(*heads: str) -> None:
    """Print the heads of columns, after an empty line."""
    print()
    print_row(*heads)
    print("|" + "---|" * len(heads), flush=True)


def print_row(*cells: object) -> None:
    """Print a row."""
    print("|" + "|".join(f" {cell} " if str(cell) else " " for cell in cells) + "|", flush=True)
