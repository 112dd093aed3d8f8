"""A space is evaluated on suites: scores, published numbers, what was excluded and skipped."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

import openbind
from openbind.embedding.cache import VectorCache
from openbind.errors import ConfigError, InputError, UnknownNameError
from openbind.evaluation.metrics import ranks
from openbind.evaluation.run import evaluate
from openbind.evaluation.samples import SampleItem

CATEGORIES = {"dog": "dog", "rooster": "rooster", "rain": "rain", "helicopter": "helicopter"}


@pytest.fixture
def esc50(tmp_path: Path, samples: Path, sample_items: list[SampleItem]) -> Path:
    """The samples' sounds of four things, laid out as ESC-50."""
    data = tmp_path / "ESC-50"
    (data / "audio").mkdir(parents=True)
    (data / "meta").mkdir()
    sounds = [s for s in sample_items if s.modality == "audio" and s.concept in CATEGORIES]
    with (data / "meta" / "esc50.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for index, sound in enumerate(sounds):
            name = Path(sound.path).name
            shutil.copy(samples / sound.path, data / "audio" / name)
            concept = CATEGORIES[sound.concept]
            writer.writerow([name, index % 2 + 1, 0, concept, True, index, "A"])
    return data


def test_evaluate(esc50: Path, starter: openbind.Space, tmp_path: Path) -> None:
    """Audio is classified by text; a second run is the same."""
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        result = evaluate(starter, "esc50", esc50, cache=cache)
        again = evaluate(starter, "esc50", esc50, cache=cache)
    assert result == again
    (score,) = result.scores
    (confusion,), (ranking,) = result.confusions, result.rankings
    assert confusion.counts_KK.sum() == len(ranking.rank_Q) == score.count
    assert confusion.counts_KK.trace() == (ranking.rank_Q == 1).sum()
    assert confusion.classes == tuple(sorted(CATEGORIES.values()))
    assert score.chance == 0.25
    assert score.value >= 0.7
    published = result.published_for(score)
    assert published is not None
    assert published.value == 0.669
    assert not result.excluded
    # The card lists the clips that were trained on; files of these names aren't among them.
    assert not result.overlaps


@pytest.mark.slow
def test_second_run_encodes_nothing(
    esc50: Path, tmp_path: Path, starter: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio and text both come from the cache: without towers the result is the same."""
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        first = evaluate(starter, "esc50", esc50, cache=cache)
        assert starter.fingerprint
        monkeypatch.setattr(starter, "towers", {})
        assert evaluate(starter, "esc50", esc50, cache=cache) == first


@pytest.mark.slow
def test_probe(esc50: Path, starter: openbind.Space) -> None:
    """Probes come after zero-shot scores; it is reported if there is nothing to train on."""
    result = evaluate(starter, "esc50", esc50, probe=True)
    assert len(result.scores) == 6
    assert result.scores[-1].task == "probe, all"
    assert result.scores[-1].value >= 0.7
    table = esc50 / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(",2,0,", ",1,0,"))
    single = evaluate(starter, "esc50", esc50, probe=True)
    assert len(single.scores) == 1
    assert list(single.skipped) == ["probe"]


def make_table(data: Path, *names: str) -> Path:
    """Videos of MSR-VTT's split with a caption each."""
    rows = [f"ret,msr,{name},a video about {name}" for name in names]
    table = "\n".join(["key,vid_key,video_id,sentence", *rows]) + "\n"
    (data / "MSRVTT_JSFUSION_test.csv").write_text(table)
    return data


def write_video(path: Path, seed: int, sound: bool = True) -> None:
    """A second of noise, with a tone or without."""
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16_000) if sound else None
        for _ in range(5):
            pixels = random.integers(256, size=(48, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode())
        if audio is not None:
            tone = random.normal(0, 0.1, (1, 16_384)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux([*audio.encode(frame), *audio.encode()])


@pytest.mark.slow
def test_added(tmp_path: Path) -> None:
    """0.95 of the frames and 0.05 of the audio; a video without audio keeps its frames' vector."""
    tiny = openbind.load("tiny", weights="random", device="cpu", dtype="float32")
    data, names = tmp_path / "msrvtt", ("video1", "video2", "video3")
    (data / "MSRVTT_Videos").mkdir(parents=True)
    videos = [data / "MSRVTT_Videos" / f"{name}.mp4" for name in names]
    for seed, video in enumerate(videos):
        write_video(video, seed, sound=seed < 2)
    result = evaluate(tiny, "msrvtt", make_table(data, *names))
    queries_QE = tiny.encode("text", [f"a video about {name}" for name in names])
    items_KE = tiny.encode("video", videos)
    hearing = tiny.with_settings("audio", clips="cover")
    parts = [(items_KE[:2], 0.95), (hearing.encode("audio", videos[:2]), 0.05)]
    items_KE[:2] = openbind.combine(parts)
    rank_Q = ranks(queries_QE @ items_KE.T, np.eye(3, dtype=bool))
    (found,) = [r.rank_Q for r in result.rankings if r.task == "text → video + audio"]
    assert found.tolist() == rank_Q.tolist()
    counts = {score.task: score.count for score in result.scores if score.metric == "R@1"}
    assert (counts["text → video + audio"], counts["text → audio"]) == (3, 2)
    assert result.excluded.keys() == {str(videos[2]), f"{videos[2]} (audio)"}
    assert not result.skipped


def test_skipped(tmp_path: Path) -> None:
    """Tasks that need a modality that the space lacks are skipped, with the reason."""
    space = openbind.load("tiny", weights="random", modalities=["text", "audio"])
    data = tmp_path / "msrvtt"
    (data / "MSRVTT_Videos").mkdir(parents=True)
    for seed in range(2):
        write_video(data / "MSRVTT_Videos" / f"video{seed}.mp4", seed)
    result = evaluate(space, "msrvtt", make_table(data, "video0", "video1"))
    assert {score.task for score in result.scores} == {"text → audio", "audio → text"}
    assert result.skipped.keys() == {"frames", "both"}
    assert "needs video" in result.skipped["both"]


def test_excluded(esc50: Path, starter: openbind.Space) -> None:
    """A broken file is named and excluded; if all are broken, that is an error."""
    sounds = sorted((esc50 / "audio").iterdir())
    sounds[0].write_bytes(b"no sound")
    result = evaluate(starter, "esc50", esc50)
    assert list(result.excluded) == [str(sounds[0])]
    assert result.scores[0].count == len(sounds) - 1
    for sound in sounds:
        sound.write_bytes(b"no sound")
    with pytest.raises(InputError, match="no item could be used"):
        evaluate(starter, "esc50", esc50)


def test_retrieval(tmp_path: Path, samples: Path, starter: openbind.Space) -> None:
    """Captions find sounds, through the same door."""
    data = tmp_path / "clotho"
    (data / "evaluation").mkdir(parents=True)
    lines = ["file_name," + ",".join(f"caption_{k}" for k in range(1, 6))]
    for sound in sorted((samples / "sounds").iterdir())[:3]:
        shutil.copy(sound, data / "evaluation" / sound.name)
        lines.append(",".join([sound.name, *[sound.stem] * 5]))
    (data / "clotho_captions_evaluation.csv").write_text("\n".join(lines) + "\n")
    result = evaluate(starter, "clotho", data)
    metrics = {(score.task, score.metric) for score in result.scores}
    assert ("text → audio", "R@1") in metrics
    assert ("audio → text", "median rank") in metrics
    assert all(np.isfinite(score.value) for score in result.scores)
    assert any(result.published_for(score) for score in result.scores)


def test_what_is_missing(esc50: Path) -> None:
    """No such suite, and a space without audio."""
    space = openbind.load("starter", modalities=["text", "image"])
    with pytest.raises(UnknownNameError, match="esc50"):
        evaluate(space, "esc5", esc50)
    with pytest.raises(ConfigError, match="needs audio"):
        evaluate(space, "esc50", esc50)
