"""Prompts of a classification: counted before they are built, since labels multiply templates."""

from __future__ import annotations

from collections.abc import Sequence

from openbind.errors import InputError
from openbind.evaluation.zero_shot import fill_template
from openbind.serving.limits import Limits


def write_prompts(
    items: int, labels: Sequence[str], templates: Sequence[str], limits: Limits
) -> list[str]:
    """Return each label in each template, the templates of a label together.

    Args:
        items: number of items to classify.
        labels: names of the classes.
        templates: see `openbind.evaluation.zero_shot.fill_template`.
        limits: of the service.

    Raises:
        InputError: a label or a template can't be used, or they are too many or too long.
    """
    _check(len(labels) * len(templates), limits.items, "labels × templates", "items")
    _check(items * len(labels), limits.scores, "input × labels", "probabilities")
    # A prompt is as long as its label and its template together.
    for name, texts in (("labels", labels), ("templates", templates)):
        for at, text in enumerate(texts):
            if not text.strip():
                raise InputError(f"{name}[{at}]", "empty text")
            _check(len(text), limits.characters // 2, f"{name}[{at}]", "characters")
    total = len(templates) * sum(map(len, labels)) + len(labels) * sum(map(len, templates))
    _check(total, limits.body_bytes, "labels × templates", "characters")
    for at, template in enumerate(templates):
        try:
            fill_template(template, "")
        except InputError as error:
            raise InputError(f"templates[{at}]", error.reason) from error
    return [fill_template(template, label) for label in labels for template in templates]


def _check(found: int, most: int, name: str, what: str) -> None:
    if found > most:
        raise InputError(name, f"{found:,} {what} exceed the limit of {most:,}")
