"""A text of another language, word for word in English: what the encoder, which learned English only, reads beside the text itself.

It is no translation. Word order, endings and idioms are lost, and what stands in no list stays as it is; but what a text is about, and what is to be
done to whom, comes through, and an encoder that judges requests by that finds them. Sentence by sentence: English ones are left alone, so English
texts cost a look at their words and nothing more.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from charter.core.normalise.lexicon import ranks
from charter.judges._gloss_lists import WordList, codes, folded, little_words, read

#: A run of letters with the marks that belong to them, or of digits.
_WORD = re.compile(
    r"[\w\u0300-\u036f\u0483-\u0489\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u200c\u200d]+"
)
_LETTERS = re.compile(r"[a-z]+")
#: Signs that end a sentence, and what English writes for them.
_ENDS = {sign: sign for sign in ".!?;:…\n"} | {"。": ".", "！": "!", "？": "?", "؟": "?", "।": ".", "；": ";"}
_SENTENCE = re.compile(r"[^{0}]*[{0}]+|[^{0}]+".format("".join(_ENDS)))
#: Letters that only one of the languages at hand is written in.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")), ("zh", re.compile(r"[\u3400-\u9fff]")), ("ko", re.compile(r"[\uac00-\ud7a3]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")), ("hi", re.compile(r"[\u0900-\u097f]")), ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)  # fmt: skip
#: Languages that are written without blanks, or whose words grow at the end: the longest listed form at each place is taken.
_RUNS = frozenset({"zh", "ja", "th", "ko"})
_OTHER = re.compile("|".join(pattern.pattern for _, pattern in _SCRIPTS))
#: What English puts before these nouns and many languages behind them: "instructions previous" is read as "previous instructions".
_NOUNS = frozenset("instruction instructions rule rules order orders prompt prompts message messages guidelines password task text".split())
_ADJECTIVES = frozenset("previous prior earlier above initial original hidden secret system internal full complete".split())
#: Languages whose verbs come apart, and how many words may stand from one part to the other.
_SPLIT, _APART = frozenset({"de", "nl"}), 12
#: Words of a phrase at most; letters of a word whose beginning or parts are looked up; letters that a part must have.
_PHRASE, _LONGEST, _PART = 4, 40, 4
#: Part of a word that a listed beginning must be, if nothing is known of its end: of the shortest beginnings more.
_BEGINNING, _SHORT_BEGINNING = 0.5, 0.6
#: Share of words that English must not know before another language is thought of, and that this language's list must have.
_FOREIGN, _COVERED = 0.3, 0.3
#: Words of the list that English does not know, without which a sentence alone is not said to be in its language.
_LEAST = 2


class Gloss(NamedTuple):
    """English words for a text; ``starts`` are where each of them starts, ``places`` the characters of the text it stands for."""

    text: str
    starts: list[int]
    places: list[tuple[int, int]]

    def originals(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Characters of the text that spans of the gloss stand for."""
        return [(self._at(start)[0], self._at(max(start, end - 1))[1]) for start, end in spans]

    def _at(self, position: int) -> tuple[int, int]:
        return self.places[max(0, bisect_right(self.starts, position) - 1)] if self.places else (0, 0)


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def gloss(text: str) -> Gloss | None:
    """The gloss of a text; None where no sentence of it is in a language that has a list."""
    if _english(text):
        return None
    sentences = list(_sentences(text))
    japanese = _SCRIPTS[0][1].search(text) is not None
    languages = [_language(sentence.words, japanese) for sentence in sentences]
    counts = Counter(code for code in languages if code)
    if not counts:
        return None
    main = counts.most_common(1)[0][0]
    pieces: list[tuple[str, int, int]] = []
    for (words, end, stop), code in zip(sentences, languages, strict=True):
        if code := code or (main if _may_be(words, main) else ""):
            pieces += _glossed(_whole_verbs(words, text, read(code)) if code in _SPLIT else words, read(code), code in _RUNS)
        else:
            pieces += words
        if end:
            pieces.append((end, stop - 1, stop))
    return _joined(pieces)


def _english(text: str) -> bool:
    """A quick look: whether the text has no two words that English does not know."""
    if _OTHER.search(text):
        return False
    known, lower = ranks(), text.lower()
    unknown = (word for word in (_LETTERS.findall(lower) if lower.isascii() else map(folded, _WORD.findall(lower))) if word not in known)
    return next(unknown, None) is None or next(unknown, None) is None


class _Sentence(NamedTuple):
    words: list[_Word]
    end: str
    stop: int


def _sentences(text: str) -> Iterator[_Sentence]:
    """Sentences with their words (as ``folded``) and the sign that ends them."""
    for found in _SENTENCE.finditer(text):
        words = [_Word(folded(word.group()), word.start(), word.end()) for word in _WORD.finditer(text, found.start(), found.end())]
        yield _Sentence(words, _ENDS.get(text[found.end() - 1], ""), found.end())


def _telling(words: Sequence[str]) -> list[str]:
    """Words that may tell a language: single letters of ASCII and numbers do not, of which code and lists are full."""
    return [word for word in words if not (word.isdigit() or (len(word) == 1 and word.isascii()))]


def _foreign(words: Sequence[str]) -> bool:
    """Whether so many words are none of English that they may be another language's."""
    unknown = sum(word not in ranks() for word in words)
    return unknown > 0 and unknown >= _FOREIGN * len(words)


def _language(words: Sequence[_Word], japanese: bool) -> str:
    """The code of the language of a sentence, '' for English and for what nobody can tell. ``japanese``: there are kana in the text."""
    said = _telling([word.text for word in words])
    if _OTHER.search(joined := " ".join(said)):
        found = next(code for code, pattern in _SCRIPTS if pattern.search(joined))
        found = "ja" if found == "zh" and japanese else found
        return found if found in codes() else ""
    if not _foreign(said):
        return ""
    known = sum(word in ranks() for word in said)
    covered = {code: (_covered(said, read(code)), hits) for code, hits in _likely(said).items()}
    best = max(covered, key=lambda code: covered[code], default="")
    if not best or covered[best][0] <= max(known, _COVERED * len(said)):
        return ""
    return best if _covered([word for word in said if word not in ranks()], read(best)) >= _LEAST else ""


def _likely(words: Sequence[str]) -> Mapping[str, int]:
    """Languages whose function words stand in a sentence, with how many."""
    table = little_words()
    hits = Counter(code for word in words for code in table.get(word, ()))
    most = max(hits.values(), default=0)
    return {code: count for code, count in hits.items() if count >= most - 1}


def _covered(words: Sequence[str], known: WordList) -> int:
    """Words that the list has, as they are or without what may stand around them: by beginnings alone neighbouring languages look alike."""
    return sum(any(bare in known.meanings for bare in _stripped(word, known)) for word in words)


def _may_be(words: Sequence[_Word], code: str) -> bool:
    """Whether a sentence too short to tell its language has words of the language of its neighbours."""
    said = _telling([word.text for word in words])
    return _foreign(said) and _covered([word for word in said if word not in ranks()], read(code)) > 0


def _whole_verbs(words: Sequence[_Word], text: str, known: WordList) -> list[_Word]:
    """Words with the parts of a verb put together that stand apart, the second at the end of its clause: "bringe ich ihn um" has "bringe_um"."""
    found, gone = list(words), set()
    for at, word in enumerate(words):
        if word.text not in known.phrases:
            continue
        for end in range(at + 2, min(at + _APART, len(words))):
            last = end + 1 == len(words) or "," in text[words[end].end : words[end + 1].start]
            if last and (verb := f"{word.text}_{words[end].text}") in known.meanings:
                found[at] = word._replace(text=verb)
                gone.add(end)
            if last:
                break
    return [word for at, word in enumerate(found) if at not in gone]


def _glossed(words: Sequence[_Word], known: WordList, runs: bool) -> Iterator[tuple[str, int, int]]:
    """(English, start, end) of the words of a sentence."""
    at = 0
    while at < len(words):
        word = words[at]
        length, meaning = _phrase(words, at, known) if word.text in known.phrases else (0, "")
        if length:
            yield meaning, word.start, words[at + length - 1].end
            at += length
            continue
        at += 1
        if runs and not word.text.isascii():
            yield from _longest(word, known)
        elif word.text in known.meanings:
            yield known.meanings[word.text], word.start, word.end
        else:
            yield _meaning(word.text, known) or word.text, word.start, word.end


def _phrase(words: Sequence[_Word], at: int, known: WordList) -> tuple[int, str]:
    for length in range(min(_PHRASE, len(words) - at), 1, -1):
        meaning = known.meanings.get("_".join(word.text for word in words[at : at + length]))
        if meaning is not None:
            return length, meaning
    return 0, ""


def _longest(word: _Word, known: WordList) -> Iterator[tuple[str, int, int]]:
    """The longest listed form at each place of a run of letters. Letters of no form are left out, but for those of other scripts."""
    at, kept, text = 0, 0, word.text
    whole = len(text) == word.end - word.start  # else folding changed the length, and every form stands for the whole run

    def place(start: int, end: int) -> tuple[int, int]:
        return (word.start + start, word.start + end) if whole else (word.start, word.end)

    while at < len(text):
        size = next((size for size in range(min(known.longest, len(text) - at), 0, -1) if text[at : at + size] in known.meanings), 0)
        if (size or not text[at].isascii()) and kept:
            yield text[at - kept : at], *place(at - kept, at)
            kept = 0
        if size:
            yield known.meanings[text[at : at + size]], *place(at, at + size)
        elif text[at].isascii():
            kept += 1
        at += max(1, size)
    if kept:
        yield text[at - kept : at], *place(at - kept, at)


def _meaning(word: str, known: WordList) -> str:
    """What a word means that may stand with other letters around it, as the beginning of another or as two in one; '' if nothing is known."""
    if word in known.meanings:
        return known.meanings[word]
    if len(word) > _LONGEST:
        return ""
    for bare in _stripped(word, known):
        if bare in known.meanings:
            return known.meanings[bare]
    for size in range(len(word) - 1, _PART - 1, -1):
        first = word[:size]
        if first not in known.meanings or first in known.little:
            continue
        for rest in (word[size:], word[size + 1 :] if word[size] in "sn" else ""):
            if len(rest) >= _PART and rest in known.meanings and rest not in known.little:
                return f"{known.meanings[first]} {known.meanings[rest]}"
        if size >= (_BEGINNING if size > _PART else _SHORT_BEGINNING) * len(word):
            return known.meanings[first]
    return ""


def _stripped(word: str, known: WordList) -> Iterator[str]:
    """A word without the letters that may stand before and behind it."""
    starts = [word, *(word[len(letters) :] for letters in known.before if word.startswith(letters))]
    starts += [inner[len(letters) :] for inner in starts[1:] for letters in known.before if inner.startswith(letters)]
    for inner in starts:
        yield inner
        yield from (inner[: -len(letters)] for letters in known.behind if inner.endswith(letters) and len(inner) > len(letters) + 1)


def _in_order(words: Sequence[str]) -> list[str]:
    """Words with adjectives before their nouns."""
    found = list(words)
    for at in range(1, len(found)):
        if found[at] in _ADJECTIVES and found[at - 1] in _NOUNS:
            found[at - 1], found[at] = found[at], found[at - 1]
    return found


def _joined(pieces: Sequence[tuple[str, int, int]]) -> Gloss:
    pieces = [piece for piece in pieces if piece[0]]
    text: list[str] = []
    starts, places, length = [], [], 0
    for said, (_, start, end) in zip(_in_order([piece[0] for piece in pieces]), pieces, strict=True):
        piece = said if said in _ENDS or not text else f" {said}"
        starts.append(length + len(piece) - len(said))
        places.append((start, end))
        text.append(piece)
        length += len(piece)
    return Gloss("".join(text), starts, places)


__all__ = ["Gloss", "gloss"]
