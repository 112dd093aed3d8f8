"""Search across modalities in folders."""
