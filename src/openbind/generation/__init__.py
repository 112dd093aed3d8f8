"""Vectors of the joint embedding → images."""
