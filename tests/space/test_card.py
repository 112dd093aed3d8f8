"""A card survives JSON; as a model card it has the Hub's metadata and a readable page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard import model_index_to_eval_results

from openbind.catalog import shipped
from openbind.checkpoints.native import read_card, read_config
from openbind.configs import from_dict, to_dict
from openbind.space.card import Card, Measurement, Source, to_model_card

CARD = Card(
    summary="A small space.",
    license="Apache-2.0",
    trained_pairs=(("image", "audio"),),
    sources=(
        Source(name="Net", use="text tower", license="MIT", origin="hf:org/net"),
        Source(name="Sounds", use="pairs", license="MIT", origin="hf:datasets/org/sounds"),
        Source(name="Paper", use="method", license="", origin="arXiv 1234.56789"),
    ),
    measurements=(
        Measurement(
            task="t", metric="accuracy, 9 names", value=0.123456789, chance=0.1, data="D; held out"
        ),
        Measurement(task="r", metric="recall@5 of 9", value=0.5, chance=0.1, data="D; held out"),
        Measurement(task="s", metric="recall@5 of 9", value=0.75, chance=0.1, data="D; held out"),
    ),
    limits=("It can't hear.",),
)


def test_round_trip() -> None:
    """A card survives JSON."""
    assert from_dict(Card, to_dict(CARD)) == CARD


def test_page() -> None:
    """The page has pairs, results with chance levels, sources with licenses, and limits."""
    page = to_model_card("mini", ["image"], CARD)
    assert page.endswith("hear.\n")
    text = ModelCard(page).text
    for part in ("# mini", "image–audio", "0.123", "0.100", "| Net | text tower | MIT |", "- It"):
        assert part in text


def test_metadata() -> None:
    """Library, license, tags, origins on the Hub, and every result to the last digit."""
    data = ModelCard(to_model_card("mini", ["image", "audio"], CARD)).data
    assert (data.library_name, data.license, data.license_name) == ("openbind", "apache-2.0", None)
    assert {"embeddings", "multimodal", "image", "audio"} == set(data.tags)
    assert (data.base_model, data.datasets) == (["org/net"], ["org/sounds"])
    assert data.model_name == "mini"
    results = {r.metric_name: (r.metric_type, r.metric_value) for r in data.eval_results}
    assert results == {
        "t: accuracy, 9 names": ("accuracy", 0.123456789),
        "r: recall@5 of 9": ("recall_at_5", 0.5),
        "s: recall@5 of 9": ("recall_at_5", 0.75),
    }
    _, parsed = model_index_to_eval_results(data.to_dict()["model-index"])
    assert {(r.task_type, r.dataset_name) for r in parsed} == {
        ("zero-shot-classification", "D"),
        ("retrieval", "D"),
    }


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("CC-BY-NC-SA-4.0", ("cc-by-nc-sa-4.0", None)),
        ("Apache-2.0 AND CC-BY-4.0", ("other", "apache-2.0-and-cc-by-4.0")),
        ("", (None, None)),
    ],
)
def test_license(license: str, expected: tuple[str | None, str | None]) -> None:
    """A license the Hub knows is its id; any other has a name; without one nothing is stated."""
    data = ModelCard(to_model_card("mini", [], Card(license=license))).data
    assert (data.license, data.license_name) == expected


def test_shipped_readme() -> None:
    """The starter's README.md is generated from its card.json."""
    folder: Path = shipped("starter")
    config = read_config(folder)
    expected = to_model_card(config.name, config.modalities, read_card(folder))
    assert (folder / "README.md").read_text(encoding="utf-8") == expected


def test_every_number_has_an_interval() -> None:
    """The starter's numbers have intervals around them, and how many items they are of."""
    card = read_card(shipped("starter"))
    for m in card.measurements:
        assert m.count, m.task
        assert m.interval is not None, m.task
        assert m.interval[0] <= m.value <= m.interval[1], m.task


def test_left_out_classes_are_on_the_card() -> None:
    """The starter says how it names classes it never heard: among themselves, and among all."""
    unseen = [m for m in read_card(shipped("starter")).unseen if "audio" in m.modalities]
    among_themselves, among_all = sorted(unseen, key=lambda m: -m.chance)
    assert among_themselves.interval is not None
    assert among_themselves.interval[0] > among_themselves.chance
    assert among_all.value < among_themselves.value


def test_foreign_cards_are_shown_as_they_are() -> None:
    """HTML, links, images, tables and line breaks of a card stay text in its model card."""
    bad = "a\n# b <img src=x onerror=alert(1)> [c](javascript:d) ![e](f) | g `h` *i* &lt; \x1b[2J"
    card = Card(
        summary=bad,
        license=bad,
        trained_pairs=((bad, bad),),
        sources=(Source(name=bad, use=bad, license=bad, origin=bad),),
        measurements=(Measurement(task=bad, metric=bad, value=1, chance=0, data=bad),),
        limits=(bad,),
    )
    text = ModelCard(to_model_card(bad, ["image"], card)).text
    assert "<img" not in text
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[\[`*!]", text)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[1:] == ["## Results", "## Sources", "## Limitations"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 8}
