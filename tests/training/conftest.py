"""The tiny data set, for all tests of training."""

from tests.tiny_world import own_cache, two, world

__all__ = ["own_cache", "two", "world"]
