"""CLIP's templates: all eighty, each with one place for the name."""

from __future__ import annotations

from openbind.evaluation.prompts import CLIP_TEMPLATES


def test_templates() -> None:
    """80 different ones (CLIP's notebook on ImageNet), the first and the last as it has them."""
    assert len(set(CLIP_TEMPLATES)) == len(CLIP_TEMPLATES) == 80
    assert all(template.count("{}") == 1 for template in CLIP_TEMPLATES)
    assert CLIP_TEMPLATES[0] == "a bad photo of a {}."
    assert CLIP_TEMPLATES[-1] == "a tattoo of the {}."
