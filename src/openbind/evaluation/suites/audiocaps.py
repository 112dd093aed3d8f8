"""AudioCaps, test split: clips of AudioSet with five captions each (Kim et al. 2019)."""

from __future__ import annotations

from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.results import Published
from openbind.evaluation.suites.suite import Suite, read_table, require
from openbind.evaluation.suites.youtube import NAMES, ClipFolder
from openbind.evaluation.tasks.text_retrieval import TextRetrieval

TABLE = "test.csv"


def read(data: Path) -> tuple[TextRetrieval, ...]:
    """Read the clips with their captions; each caption is a query.

    AudioCaps' own test.csv has 975 clips. The paper's 796 are those still available of Oxford's
    retrieval split (Oncescu et al. 2021): to use it, keep only that split's rows in test.csv.
    UNRESOLVED in the sources: which of Oxford's 816 were unavailable.

    Raises:
        InputError: a file or a column is missing, or a start is not an integer.
    """
    require("AudioCaps", data, TABLE)
    rows = read_table(data / TABLE, ("audiocap_id", "youtube_id", "start_time", "caption"))
    captions: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if not row["start_time"].isdigit():
            raise InputError(
                data / TABLE, f"{row['audiocap_id']}: start_time: found {row['start_time']!r}"
            )
        clip = (row["youtube_id"], int(row["start_time"]))
        captions.setdefault(clip, []).append(row["caption"])
    clips = ClipFolder(data, "audio", "video")
    task = TextRetrieval(
        name="retrieval",
        modality="audio",
        items=[clips.find(video, start) for video, start in captions],
        captions=[tuple(own) for own in captions.values()],
        settings={"clips": "cover"},  # paper, section 3.1: ⌈t / 2⌉ clips
    )
    return (task,)


SUITE = Suite(
    title="AudioCaps, test split",
    layout=f"{TABLE} (audiocap_id, youtube_id, start_time, caption)\naudio or video files, {NAMES}",
    origin="https://audiocaps.github.io",
    license="captions: see its page; clips belong to their owners",
    read=read,
    published=tuple(
        Published(
            task="text → audio",
            metric=metric,
            value=value,
            where="ImageBind, Table 3; Oxford's split",
            choices=796,
        )
        for metric, value in (("R@1", 0.093), ("R@10", 0.423))
    ),
    overlaps=("AudioSet",),  # the source of its clips
)
