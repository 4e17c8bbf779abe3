"""Which list each word of a text is read by: by its script, or, in Latin letters, by the words around it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from charter.core import stopping
from charter.core.gloss.lists import codes, little_words, read
from charter.core.gloss.lookup import cut, listed
from charter.core.gloss.text import ENDS, KANA, Sentence, Word
from charter.core.normalise.lexicon import ranks

#: Scripts that one language at hand is written in.
_ONE = {"korean": "ko", "thai": "th", "hindi": "hi", "arabic": "ar", "cyrillic": "ru"}
#: Share of words that English must not know before another language is thought of, and that this language's list must have.
_FOREIGN, _COVERED = 0.3, 0.3
#: Different words of the list that English does not know (one of them no function word), without which nobody says that a sentence is in its
#: language: names and code have one.
_LEAST = 2
#: Languages that are looked into, by how many of their function words there are.
_LIKELY = 4
#: Words in which another language is looked for where a whole sentence is none of it, and how many further the next ones begin. In the middle of
#: English, names and terms look like words of a list, so more is asked there: the part of them that is listed, and how many English does not know.
_STRETCH, _STEP = 8, 4
_STRETCH_COVERED, _STRETCH_LEAST = 0.6, 3
#: Words of a text in ASCII, and what stands between its sentences: what ``text`` finds there.
_WORDS, _STOPS = re.compile("[a-z0-9]+"), re.compile("[{}]".format("".join(ENDS)))
#: Part of the letters that kana must be for a sentence to be Japanese whatever its other letters say.
_KANA = 0.2


def languages(sentences: Sequence[Sentence]) -> list[list[str]]:
    """The code of the list for each word of each sentence, '' for English and for what nobody can tell."""
    kana = any(KANA.search(word.text) for sentence in sentences for word in sentence.words if word.script == "chinese")
    found = [_of_sentence(sentence.words, kana) for sentence in sentences]
    told = (pair for of, sentence in zip(found, sentences, strict=True) for pair in zip(of, sentence.words, strict=True))
    latin = Counter(code for code, word in told if code and word.script == "latin")
    if not latin:
        return _across(sentences, found)
    main = latin.most_common(1)[0][0]
    for of, sentence in zip(found, sentences, strict=True):
        if not any(of) and _may_be([word.text for word in sentence.words if word.script == "latin"], main):
            of[:] = [main if word.script == "latin" else "" for word in sentence.words]
    return found


def is_english(text: str) -> bool:
    """Whether no word of a text is of another language, told quickly; False also where that takes a longer look."""
    if not text.isascii() or "/" in text or "www." in text:
        return False
    parts = [_WORDS.findall(part) for part in _STOPS.split(text.lower())]
    whole = [word for part in parts for word in part]
    for words in (*parts, whole):
        stopping.check()
        if next(_stretches(words), None) is not None:
            return False
    return True


def _of_sentence(words: Sequence[Word], kana: bool) -> list[str]:
    stopping.check()
    found = [""] * len(words)
    latin = [(at, word.text) for at, word in enumerate(words) if word.script == "latin"]
    if len(latin) < len(words):
        for at, word in enumerate(words):
            if (code := _ONE.get(word.script, "")) in codes():
                found[at] = code
        chinese = [at for at, word in enumerate(words) if word.script == "chinese"]
        if chinese:
            code = _chinese_or_japanese("".join(words[at].text for at in chinese), kana)
            for at in chinese:
                found[at] = code
    _tell(latin, found)
    return found


def _tell(words: Sequence[tuple[int, str]], found: list[str]) -> None:
    """Write the code of words in Latin letters into ``found``: of all of them, or of stretches of them that are another language than the rest."""
    for first, last, code in _stretches([text for _, text in words]):
        for at, _ in words[first:last]:
            found[at] = code


def _stretches(words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Start, end and code of what of these words is in another language: all of them, or stretches. What has too few words that English does not
    know is not looked into."""
    known = ranks()
    if sum(word not in known for word in words) < _LEAST:
        return
    told, strange = _counts(words)
    if strange[-1] < _LEAST:
        return
    if code := _language(words) if strange[-1] >= _FOREIGN * told[-1] else "":
        yield 0, len(words), code
    elif len(words) > _STRETCH:
        for first in range(0, len(words) - _STRETCH + _STEP, _STEP):
            last = min(first + _STRETCH, len(words))
            unknown = strange[last] - strange[first]
            if unknown < _STRETCH_LEAST or unknown < _FOREIGN * (told[last] - told[first]):
                continue
            if code := _language(words[first:last], _STRETCH_COVERED, _STRETCH_LEAST):
                yield first, last, code


def _counts(words: Sequence[str]) -> tuple[list[int], list[int]]:
    """How many words before each place may tell a language, and how many of those English does not know."""
    known, tells = ranks(), [not (word.isdigit() or (len(word) == 1 and word.isascii())) for word in words]
    strange = [told and word not in known for word, told in zip(words, tells, strict=True)]
    return list(accumulate(tells, initial=0)), list(accumulate(strange, initial=0))


def _across(sentences: Sequence[Sentence], found: list[list[str]]) -> list[list[str]]:
    """Where no sentence is in a language by itself: a text with a stop behind every word has no sentences."""
    places = [(n, at, word.text) for n, sentence in enumerate(sentences) for at, word in enumerate(sentence.words) if word.script == "latin"]
    flat = [""] * len(places)
    _tell([(k, text) for k, (_, _, text) in enumerate(places)], flat)
    for code, (n, at, _) in zip(flat, places, strict=True):
        found[n][at] = code
    return found


def _language(words: Sequence[str], share: float = _COVERED, least: int = _LEAST) -> str:
    """The code of the language of words in Latin letters that stand together."""
    said = _telling(words)
    if not is_foreign(said):
        return ""
    table = little_words()
    hits = Counter(code for word in said for code in table.get(word, ()))
    covered = {code: (sum(bool(listed(code, word)) for word in said), count) for code, count in hits.most_common(_LIKELY)}
    best = max(covered, key=lambda code: covered[code], default="")
    if not best or covered[best][0] <= max(sum(word in ranks() for word in said), share * len(said)):
        return ""
    forms = {form for word in said if word not in ranks() and (form := listed(best, word))}
    return best if len(forms) >= least and forms - read(best).little else ""


def _telling(words: Sequence[str]) -> list[str]:
    """Words that may tell a language: single letters of ASCII and numbers do not, of which code and lists are full."""
    return [word for word in words if not (word.isdigit() or (len(word) == 1 and word.isascii()))]


def is_foreign(words: Sequence[str]) -> bool:
    """Whether so many words are none of English that they may be another language's."""
    known = ranks()
    unknown = sum(word not in known for word in words)
    return unknown > 0 and unknown >= _FOREIGN * len(words)


def _may_be(words: Sequence[str], code: str) -> bool:
    """Whether a sentence too short to tell its language has words of the language of its neighbours."""
    said = _telling(words)
    return is_foreign(said) and any(word not in ranks() and listed(code, word) for word in said)


def _chinese_or_japanese(text: str, kana: bool) -> str:
    """Of Chinese characters and kana that stand in one sentence. ``kana``: there are some elsewhere in the text."""
    share = len(KANA.findall(text)) / len(text)
    if "ja" not in codes() or "zh" not in codes():
        return next((code for code in ("zh", "ja") if code in codes()), "")
    if share >= _KANA or not (share or kana):
        return "ja" if share else "zh"
    letters = {code: sum(end - start for start, end, meaning in cut(text, read(code)) if meaning is not None) for code in ("ja", "zh")}
    return "ja" if letters["ja"] > letters["zh"] else "zh"
