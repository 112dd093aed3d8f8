"""Which language a short text is in, as far as script and function words tell.

Spaces know few languages, and embed texts in others nearly at random. A search must never be
refused for that, and English nouns never be taken for something else: in doubt a text is known.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

from openbind.errors import shorten

LANGUAGES = {
    "ar": "Arabic",
    "bn": "Bengali",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""ISO 639-1 code → name, of the languages that are told apart."""

SCRIPTS = {
    "HANGUL": ("ko",),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "CJK": ("zh", "ja"),
    "CYRILLIC": ("ru", "uk"),
    "ARABIC": ("ar",),
    "HEBREW": ("he",),
    "GREEK": ("el",),
    "DEVANAGARI": ("hi",),
    "BENGALI": ("bn",),
    "TAMIL": ("ta",),
    "THAI": ("th",),
}
"""First word of a letter's Unicode name → languages written with it, the most frequent first."""

FUNCTION_WORDS = {
    "en": "a an and are at by for from his her in is it its of on or over she the their there they "
    "this that to two under up with while near next some not no into out down he who",
    "de": "ein eine einen einem einer eines und der dem den die das ist sind mit auf im am vom zum "
    "zur bei unter über neben vor hinter nicht ohne zwei von aus sich wird als auch einige für",
    "es": "el la los las un una unos unas y en de con del está están al por sobre para que hay muy "
    "dos desde entre junto sin hacia su sus no",
    "fr": "le la les un une des de du et en avec dans sur est sont au aux pour qui il elle sous "
    "près devant deux ses à",
    "it": "il la lo gli un uno una di della delle dei del nella nel sulla sul con sono è e in che "
    "due sotto al alla per",
    "pt": "o a os as um uma e com de da do dos das na no em está estão para por sobre que não dois "
    "duas ao",
    "nl": "de het een en in met op van zijn aan bij onder voor naast twee niet uit naar wordt",
    "sv": "en ett och med på är som av till för två under över vid det inte i",
    "da": "en et og med på er som af til for to under over ved det ikke i",
    "pl": "na z w i jest się nad pod przy oraz dwa nie do są przez",
    "tr": "bir ve ile için üzerinde altında yanında iki değil çok bu olan",
    "id": "yang dan di dengan sebuah seekor seorang pada dari untuk sedang dua tidak ke",
    "vi": "một và trên của trong với đang hai là cái con những người không",
}
"""Language → words that a sentence seldom lacks."""
IN_ENGLISH = (
    "a al alla am as at au bei bin con da dan das de dei del den der des di die do dos du due e el "
    "em en et for gas hai hat het i il ile im in is ke la las le lo los na nad no non o on op over "
    "pada per pod que ski sin son su sur to un under van ve via vor w with y z"
)
"""Of these, words that stand in English texts, too: in names, in recipes, in other meanings."""
SURE, UNSURE = 2, 1
"""Evidence that a function word is, and one of `IN_ENGLISH`; `SURE` suffices."""
WORD = re.compile(r"[^\W\d_]+")


def guess_language(text: str) -> str | None:
    """Return the language of a text as an ISO 639-1 code; None in doubt."""
    scripts = Counter(unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha())
    foreign = Counter({name: n for name, n in scripts.items() if name in SCRIPTS})
    is_symbol = foreign["GREEK"] == scripts.total() == 1  # π
    if 2 * foreign.total() >= max(1, scripts.total()) and not is_symbol:
        # Japanese mixes its syllables with Chinese characters.
        kana = foreign["HIRAGANA"] + foreign["KATAKANA"]
        return "ja" if kana else SCRIPTS[foreign.most_common(1)[0][0]][0]
    return _guess_by_words([word.lower() for word in WORD.findall(text)])


def find_foreign(text: str, known: Collection[str]) -> str | None:
    """Return the name of a text's language, if a space doesn't know it.

    Args:
        text: a query.
        known: ISO 639-1 codes of the languages that the space knows; if empty, all pass.

    Returns:
        None for a known language, and in doubt.
    """
    code = guess_language(text) if known else None
    return None if code is None or code in known else LANGUAGES[code]


def name_languages(codes: Iterable[str]) -> str:
    """Return the names of languages, for people."""
    return " and ".join(LANGUAGES.get(code, code) for code in codes)


def note_foreign(texts: Iterable[str], known: Collection[str], space: str) -> list[str]:
    """Return a sentence for people about each text in a language that a space doesn't know.

    Args:
        texts: of a query.
        known: see `find_foreign`.
        space: its name.
    """
    found = [(text, find_foreign(text, known)) for text in texts]
    return [
        f"{shorten(text)} seems to be {language}, but {space} knows only {name_languages(known)}: "
        "what it finds may be arbitrary"
        for text, language in found
        if language is not None
    ]


def _guess_by_words(words: list[str]) -> str | None:
    """Return the language whose function words a text has, if it has more of them than English."""
    evidence = {code: _weigh(words, frozenset(own.split())) for code, own in FUNCTION_WORDS.items()}
    english = SURE * sum(word in FUNCTION_WORDS["en"].split() for word in words)
    best = max(evidence, key=lambda code: evidence[code])
    return best if best != "en" and evidence[best] >= SURE and evidence[best] > english else None


def _weigh(words: list[str], own: frozenset[str]) -> int:
    """Return the evidence that words are of the language with some function words."""
    unsure = IN_ENGLISH.split()
    return sum(UNSURE if word in unsure else SURE for word in set(words) if word in own)
