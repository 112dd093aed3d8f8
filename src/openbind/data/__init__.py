"""Training data: sources of aligned pairs, sampling, views, augmentation and loading."""
