"""Exported spaces: towers as graphs, run by other libraries than PyTorch."""
