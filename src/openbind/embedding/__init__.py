"""Embedding many items: one kind of item, one scan of folders, one cache, one loop."""
