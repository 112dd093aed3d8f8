"""What verbs share: weights, exit codes and the count of skipped files."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.cli.verb import parse_weights, report_failures
from openbind.errors import InputError
from openbind.search.adhoc import Failure


def test_weights() -> None:
    """MODALITY=NUMBER, negative ones too; anything else is named."""
    assert parse_weights(["image=0.3", "text=-1"]) == {"image": 0.3, "text": -1.0}
    with pytest.raises(InputError, match="expected MODALITY=NUMBER"):
        parse_weights(["image"])
    with pytest.raises(InputError, match="no modality named 'smell'"):
        parse_weights(["smell=1"])


@pytest.mark.parametrize(
    ("failed", "done", "strict", "code"),
    [
        (0, 3, False, 0),
        (0, 3, True, 0),
        (2, 3, False, 0),
        (2, 3, True, 1),
        (2, 0, False, 1),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], failed: int, done: int, strict: bool, code: int
) -> None:
    """Skipped files fail a strict run; a run that did nothing always fails."""
    failures = [Failure(Path(f"{i}.png"), "broken") for i in range(failed)]
    assert report_failures(failures, done, strict) == code
    err = capsys.readouterr().err
    assert err.count("skipped") == (failed + 1 if failed else 0)
