"""Clotho v2.1, evaluation split: 1,045 clips with five captions each (Drossos et al. 2020)."""

from __future__ import annotations

from pathlib import Path

from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.tasks.text_retrieval import TextRetrieval

TABLE = "clotho_captions_evaluation.csv"
CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def read(data: Path) -> tuple[TextRetrieval, ...]:
    """Read the clips with their captions; each caption is a query (paper, appendix A).

    Raises:
        InputError: a file or a column is missing.
    """
    require("Clotho", data, TABLE, "evaluation")
    rows = read_table(data / TABLE, ("file_name", *CAPTIONS))
    task = TextRetrieval(
        name="retrieval",
        modality="audio",
        items=[data / "evaluation" / row["file_name"] for row in rows],
        captions=[tuple(row[name] for name in CAPTIONS) for row in rows],
        settings={"clips": "cover"},  # paper, section 3.1: ⌈t / 2⌉ clips
    )
    return (task,)


SUITE = Suite(
    title="Clotho v2.1, evaluation split",
    layout=f"{TABLE} (file_name, caption_1 … caption_5)\nevaluation/*.wav",
    origin="https://zenodo.org/records/4783391",
    license="audio: per clip; captions: Tampere University, non-commercial",
    read=read,
    published=tuple(
        Published(
            task="text → audio",
            metric=metric,
            value=value,
            where="ImageBind, Table 3",
            count=5_225,  # five captions of 1,045 clips
            choices=1_045,
        )
        for metric, value in (("R@1", 0.060), ("R@10", 0.284))
    ),
    overlaps=("Clotho", "Freesound"),
)
