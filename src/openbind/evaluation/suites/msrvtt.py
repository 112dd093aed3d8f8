"""MSR-VTT 1k-A: 1,000 videos with a caption each (Xu et al. 2016; the split of Yu et al. 2018)."""

from __future__ import annotations

from pathlib import Path

from openbind.evaluation.suites.suite import Published, Suite, read_table, require
from openbind.evaluation.tasks import TextRetrieval

TABLE, VIDEOS = "MSRVTT_JSFUSION_test.csv", "MSRVTT_Videos"


def read(data: Path) -> tuple[TextRetrieval, ...]:
    """Read the captions.

    Raises:
        InputError: a file or a column is missing.
    """
    require("MSR-VTT", data, TABLE, VIDEOS)
    rows = read_table(data / TABLE, ("video_id", "sentence"))
    task = TextRetrieval(
        name="retrieval",
        modality="video",
        paths=[data / VIDEOS / f"{row['video_id']}.mp4" for row in rows],
        captions=[(row["sentence"],) for row in rows],
    )
    return (task,)


SUITE = Suite(
    title="MSR-VTT 1k-A",
    layout=f"{TABLE} (key, vid_key, video_id, sentence)\n{VIDEOS}/video7010.mp4, …",
    origin="https://www.microsoft.com/en-us/research/publication/msr-vtt-a-large-video-description-dataset-for-bridging-video-and-language/",
    licence="for research; videos by their owners",
    read=read,
    published=(
        Published(
            task="text → video",
            metric="R@1",
            value=0.361,
            where="ImageBind, Table 2; pictures alone",
        ),
    ),
    overlaps=("MSR-VTT", "MSRVTT"),
)
