"""Sentences in other languages are told from English ones; English nouns are never doubted."""

from __future__ import annotations

import pytest

from openbind.evaluation.held_out import held_out_folder, read_rows
from openbind.evaluation.prompts import CLIP_TEMPLATES
from openbind.evaluation.samples import read_samples, samples_folder
from openbind.space.language import find_foreign, guess_language, note_foreign

SENTENCES = {
    "de": ("ein Hund am Strand", "Zwei Kinder spielen im Park", "eine rote Tasse auf dem Tisch"),
    "es": ("un perro corriendo en la playa", "el gato está en el sofá", "dos niños jugando con"),
    "fr": ("un chien sur la plage", "deux enfants jouent dans le parc"),
    "it": ("un cane sulla spiaggia", "il gatto dorme sul divano"),
    "pt": ("um cachorro na praia", "o gato está no sofá"),
    "nl": ("een hond op het strand",),
    "tr": ("bir köpek sahilde koşuyor",),
    "ko": ("해변의 개", "강아지가 공원에서 뛰고 있다"),
    "zh": ("海滩上的一只狗", "狗"),
    "ja": ("犬が走っている",),
    "ru": ("собака на пляже",),
    "ar": ("كلب على الشاطئ",),
}
ENGLISH = (
    *("pain au chocolat", "crème brûlée", "café", "chile con carne", "cul de sac", "coq au vin"),
    *("El Capitan", "Los Angeles", "Rio de Janeiro", "Leonardo da Vinci", "Van Gogh", "San José"),
    *("a hat in the war", "die casting", "men at work", "guitar: Em9 chord", "IMG_2034", "π", "🙂"),
    *("", "123", "a dog and a cat", "the Korean word 개"),
)


@pytest.mark.parametrize(("code", "text"), [(c, t) for c, some in SENTENCES.items() for t in some])
def test_sentences(code: str, text: str) -> None:
    """They are known for what they are; a space that knows the language says nothing."""
    assert guess_language(text) == code
    assert find_foreign(text, ["en"]) is not None
    assert find_foreign(text, ["en", code]) is None
    assert find_foreign(text, []) is None


@pytest.mark.parametrize("text", ENGLISH)
def test_english(text: str) -> None:
    """Names, loan words and symbols are no other language."""
    assert guess_language(text) is None


def test_what_ships_is_english() -> None:
    """No class, caption, title or prompt that ships is taken for another language."""
    rows, samples = read_rows(held_out_folder()), read_samples(samples_folder())
    texts = {r.title for r in rows} | {r.label for r in rows}
    texts |= {s.title for s in samples} | {s.concept for s in samples}
    texts |= {template.replace("{}", "dog") for template in CLIP_TEMPLATES}
    assert {text: guess_language(text) for text in texts if guess_language(text)} == {}


def test_notes() -> None:
    """One sentence for each such text, with the languages that the space knows."""
    (note,) = note_foreign(["a dog", "ein Hund am Strand"], ("en",), "starter")
    for part in ("Hund", "German", "starter", "English"):
        assert part in note
