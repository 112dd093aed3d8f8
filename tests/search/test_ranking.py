"""Rows of several modalities are ranked by deviations, one for each file."""

from __future__ import annotations

from openbind.search.ranking import Row, rank_rows
from openbind.space.calibration import Unrelated

ROWS = {
    "audio": [{"file": "a", "modality": "audio", "score": 0.5}],
    "video": [
        {"file": "b", "modality": "video", "score": 0.2},
        {"file": "a", "modality": "video", "score": 0.15},
    ],
}


def search(modality: str | None) -> list[Row]:
    """Return the rows of one modality, or all, by score."""
    chosen = [row for name, rows in ROWS.items() if modality in (None, name) for row in rows]
    return sorted(chosen, key=lambda row: -row["score"])


def unrelated(modality: str, deviation: float) -> Unrelated:
    """Unrelated pairs around zero, 99 % of them below two and a half deviations."""
    high = 2.5 * deviation
    return Unrelated(
        modalities=("text", modality), mean=0.0, deviation=deviation, high=high, count=9
    )


def test_one_row_for_each_file() -> None:
    """The sound track and the frames of a video are two rows: the better one counts."""
    known = {"audio": unrelated("audio", 0.25), "video": unrelated("video", 0.05)}
    found = rank_rows(search, {"audio": 1, "video": 2}, 9, known)
    expected = [("b", "video", True), ("a", "video", True)]
    assert [(row["file"], row["modality"], row["close"]) for row in found] == expected
    assert [row["file"] for row in rank_rows(search, {"audio": 1, "video": 2}, 1, known)] == ["b"]
    many = rank_rows(search, {"audio": 1, "video": 10_000}, 9, known)
    assert [row["close"] for row in many] == [True, False]


def test_by_cosine_unless_all_are_known() -> None:
    """A modality without calibration leaves the order of cosines; its rows say nothing."""
    found = rank_rows(search, {"audio": 1, "video": 2}, 9, {"video": unrelated("video", 0.05)})
    assert [row["file"] for row in found] == ["a", "b"]
    assert "close" not in found[0]
    assert found[1]["close"]
