"""Training data: aligned pairs, where they lie, and how they are drawn and shown."""
