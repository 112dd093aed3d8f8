"""Readers of files, bytes and arrays: NumPy arrays with rates and times."""
