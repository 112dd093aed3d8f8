"""Binding a modality to a frozen space: recipes, losses, the run and what it leaves behind."""
