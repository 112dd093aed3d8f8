"""Compute the card's numbers on held-out data, each with its chance level."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from pairs import Image
from photographs import CAPTIONED, NAMED, Photograph
from sounds import ESC10_NAMES, Recording
from torch.nn import functional as F

from openbind.evaluation.metrics import fraction_interval
from openbind.space.card import Measurement

FOLD = 4
"""Of ESC-50, whose numbers are reported; settings were chosen on fold 3 (`choose.py`)."""
WITHOUT = "head trained without them (the shipped one with them)"
"""How images are measured: what ships learned from the test parts, too, after the measurement."""
DRAWN = f"{WITHOUT}; settings were chosen on them, so the result is a little optimistic"
"""How drawings are measured: no others were held out, so these were chosen by (README.md)."""
EARLIER = "; earlier rounds looked at them, too, so the result may be a little optimistic"
"""Of audio, IMU, depth and thermal, by which earlier rounds were chosen (README.md)."""


def is_held_out(image: Image) -> bool:
    """Return whether an image is held out: every stamp, and a tenth of the emoji by name."""
    tenth = zlib.crc32(image.name.lower().encode()) % 10 == 0
    return image.source == "stamps" or (image.source == "emoji" and tenth)


def measure_images(
    images: Sequence[Image],
    embed_KSE: torch.Tensor,
    embedding: dict[str, torch.Tensor],
    center_E: torch.Tensor,
) -> list[Measurement]:
    """Retrieve each held-out image's name among all names of its source.

    Returns:
        recall at 1 and 10 for each source, for full-size and tiny images.
    """
    data = {
        "emoji": f"Fluent emoji; a tenth of the names; {DRAWN}",
        "stamps": f"Tux Paint stamps; {DRAWN}",
    }
    found = []
    for source in data:
        names = sorted({image.name for image in images if image.source == source})
        texts_QE = F.normalize(torch.stack([embedding[name] for name in names]) - center_E, dim=1)
        held = [i for i, p in enumerate(images) if p.source == source and is_held_out(p)]
        own = torch.tensor([names.index(images[i].name) for i in held])
        for view, kind in ((0, "full size"), (2, "tiny")):
            score_KQ = F.normalize(embed_KSE[held, view], dim=1) @ texts_QE.T
            better_K = (score_KQ > score_KQ.gather(1, own[:, None])).sum(1)
            for rank in (1, 10):
                right = (better_K < rank).numpy()
                found.append(
                    measure(
                        f"image → text, {source}, {kind}",
                        f"recall@{rank} of {len(names)} names",
                        right,
                        rank / len(names),
                        data[source],
                        ("image", "text"),
                    )
                )
    return found


def measure_photographs(
    photographs: Sequence[Photograph],
    shown_NE: torch.Tensor,
    embedding: Mapping[str, torch.Tensor],
    center_E: torch.Tensor,
) -> list[Measurement]:
    """Retrieve photographs by a caption and captions by photographs; name the others.

    Args:
        photographs: all; only the test part counts.
        shown_NE: embedding of each.
        embedding: of every text.
        center_E: the mean that is subtracted from embeddings of texts.
    """
    tested = [n for n, p in enumerate(photographs) if p.tested and p.set == CAPTIONED]
    words_NE = torch.stack([embedding[photographs[n].texts[0]] for n in tested]) - center_E
    score_NN = F.normalize(words_NE, dim=1) @ F.normalize(shown_NE[tested], dim=1).T
    data = f"COCO photographs, one caption each; a test part; {WITHOUT}"
    found = []
    for task, score_QN in (("text → image", score_NN), ("image → text", score_NN.T)):
        better_Q = (score_QN > score_QN.diag()[:, None]).sum(1)
        for rank in (1, 10):
            right = (better_Q < rank).numpy()
            metric = f"recall@{rank} of {len(tested)}"
            found.append(measure(task, metric, right, rank / len(tested), data, ("image", "text")))
    for name in NAMED:
        own = [n for n, p in enumerate(photographs) if p.set == name]
        names = sorted({photographs[n].texts[0] for n in own})
        own = [n for n in own if photographs[n].tested]
        names_KE = torch.stack([embedding[text] for text in names]) - center_E
        score_NK = F.normalize(shown_NE[own], dim=1) @ F.normalize(names_KE, dim=1).T
        target_N = torch.tensor([names.index(photographs[n].texts[0]) for n in own])
        right = (score_NK.argmax(1) == target_N).numpy()
        held_out = sum(photographs[n].held_out for n in own)
        metric, data = f"accuracy, {len(names)} names", f"{name}; a third; {WITHOUT}"
        data += f", but for {held_out} that ship in a held-out set" if held_out else ""
        found.append(
            measure("image → text", metric, right, 1 / len(names), data, ("image", "text"))
        )
    return found


def measure(
    task: str,
    metric: str,
    right: NDArray[np.bool_],
    chance: float,
    data: str,
    modalities: tuple[str, ...],
) -> Measurement:
    """Return the fraction of right answers with its interval."""
    return Measurement(
        task=task,
        metric=metric,
        value=float(right.mean()),
        chance=chance,
        data=data,
        modalities=modalities,
        interval=fraction_interval(float(right.mean()), len(right)),
        count=len(right),
    )


def measure_sounds(
    recordings: Sequence[Recording],
    names: Sequence[str],
    label_KE: torch.Tensor,
    class_N: torch.Tensor,
    learn: Callable[[torch.Tensor], torch.Tensor],
    fold: int = FOLD,
) -> list[Measurement]:
    """Name recordings of a fold that wasn't heard, and its recordings of classes that weren't.

    Args:
        recordings: all.
        names: of the classes.
        label_KE: unit embeddings of the names.
        class_N: class of each recording.
        learn: trains on some recordings (N,) and embeds all (N, E).
        fold: of ESC-50; nothing is learned from it or from later ones.
    """
    fold_N = torch.tensor([recording.fold for recording in recordings])
    unheard = {r.freesound_id for r in recordings if r.fold >= fold}
    heard_N = torch.tensor([r.freesound_id not in unheard for r in recordings])
    score_NK = learn(heard_N) @ label_KE.T
    esc50 = sorted(set(class_N[fold_N > 0].tolist()))
    esc10 = [names.index(name) for name in sorted(ESC10_NAMES.values())]
    data = f"fold {fold}; head trained on the folds before (the shipped one on all four); settings "
    data += f"were chosen on fold {fold - 1}{EARLIER}"
    found = []
    for title, offered in (("ESC-50", esc50), ("ESC-10", esc10)):
        rows = (fold_N == fold) & torch.isin(class_N, torch.tensor(offered))
        right = name_rows(score_NK[rows], class_N[rows], offered)
        metric, chance = f"accuracy, {len(offered)} names", 1 / len(offered)
        about = f"{title}, {data}"
        found.append(measure("audio → text", metric, right, chance, about, ("audio", "text")))
    return found + measure_unheard(esc50, class_N, fold_N == fold, heard_N, label_KE, learn)


def measure_unheard(
    classes: Sequence[int],
    class_N: torch.Tensor,
    asked_N: torch.Tensor,
    heard_N: torch.Tensor,
    label_KE: torch.Tensor,
    learn: Callable[[torch.Tensor], torch.Tensor],
    left_out: int = 10,
) -> list[Measurement]:
    """Name recordings of classes left out of training, among these and among all.

    Args:
        classes: to leave out by turns.
        class_N: of each recording.
        asked_N, heard_N: which recordings are named, and which others may be learned from.
        label_KE: unit embeddings of the names.
        learn: see `measure_sounds`.
        left_out: classes at a time.
    """
    among_few, among_all = [], []
    order = np.random.default_rng(0).permutation(list(classes)).tolist()
    for start in range(0, len(order), left_out):
        out = order[start : start + left_out]
        is_out_N = torch.isin(class_N, torch.tensor(out))
        rows = is_out_N & asked_N
        score_NK = learn(heard_N & ~is_out_N) @ label_KE.T
        among_few.append(name_rows(score_NK[rows], class_N[rows], out))
        among_all.append(name_rows(score_NK[rows], class_N[rows], classes))
    data = f"ESC-50, the same fold; {left_out} classes at a time left out of training besides, "
    data += f"neither heard nor named{EARLIER}"
    return [
        replace(
            measure(
                f"audio → text, classes never heard, {among}",
                f"accuracy, {count} names",
                np.concatenate(rights),
                1 / count,
                data,
                ("audio", "text"),
            ),
            unseen=True,
        )
        for among, count, rights in (
            ("among themselves", left_out, among_few),
            ("among all", len(order), among_all),
        )
    ]


def name_rows(
    score_NK: torch.Tensor, class_N: torch.Tensor, offered: Sequence[int]
) -> NDArray[np.bool_]:
    """Return whether each row's best class among those offered is its own."""
    best_N = torch.tensor(offered)[score_NK[:, list(offered)].argmax(1)]
    return (best_N == class_N).numpy()
