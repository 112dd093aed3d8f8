"""Measure what aligns with what: zero-shot classification and retrieval."""
