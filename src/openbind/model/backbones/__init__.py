"""Pretrained backbones of the starter model, one file each."""
