"""Towers → graphs for other runtimes."""
