"""The phrases of the refusal judge, compiled from ``refusal.yaml``, ``refusal_general.yaml`` and ``refusal_then.yaml``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from charter.core.config import read_yaml
from charter.judges._refusal_text import Sentence

FILES = ("refusal.yaml", "refusal_general.yaml", "refusal_then.yaml")
#: Fragments stand in fragments, this deep at most.
DEEPEST = 4
_TWICE = re.compile(r"(?<= ) ")


class Phrases(NamedTuple):
    """Compiled patterns by group, see the files."""

    decline: re.Pattern[str]
    opening: re.Pattern[str]
    rebuttal: re.Pattern[str]
    discourages: re.Pattern[str]
    instead: re.Pattern[str]
    moral: re.Pattern[str]
    nonsense: re.Pattern[str]
    unclear: re.Pattern[str]
    inability: re.Pattern[str]
    private: re.Pattern[str]
    answer: re.Pattern[str]
    letter: re.Pattern[str]
    asks_for_refusal: re.Pattern[str]
    complies: re.Pattern[str]
    offers: re.Pattern[str]
    condemns: re.Pattern[str]
    other_languages: re.Pattern[str]
    not_declining: re.Pattern[str]
    may_decline: re.Pattern[str]
    may_be_foreign: re.Pattern[str]
    open_verb: re.Pattern[str]
    harmless_verb: re.Pattern[str]
    thinking_verb: re.Pattern[str]
    points: re.Pattern[str]
    goes_on: re.Pattern[str]
    asks_for_verse: re.Pattern[str]
    asks_for_scene: re.Pattern[str]
    asks_for_line: re.Pattern[str]
    asks_for_voice: re.Pattern[str]
    gives_text: re.Pattern[str]
    about_asking: re.Pattern[str]
    asks_for_deed: re.Pattern[str]
    asks_for_message: re.Pattern[str]
    says_i: re.Pattern[str]
    says_no: re.Pattern[str]
    instructs: re.Pattern[str]
    not_saying_no: re.Pattern[str]
    turned_away: re.Pattern[str]
    asks_for_word: re.Pattern[str]
    asks_for_fate: re.Pattern[str]
    asks_for_fact: re.Pattern[str]
    takes_back: re.Pattern[str]
    other_way: re.Pattern[str]
    talks: re.Pattern[str]
    handles: re.Pattern[str]
    is_text: re.Pattern[str]
    calls_name: re.Pattern[str]
    asks_for_text: re.Pattern[str]


@cache
def load_phrases() -> Phrases:
    """The phrase lists that ship beside this file, read once in a process: patterns of a group that several have are joined, and they share their
    parts."""
    parts: dict[str, str] = {}
    patterns: dict[str, list[str]] = {}
    for name in FILES:
        data = dict(read_yaml(Path(__file__).with_name(name)).data)
        parts |= {part: "".join(line.strip() for line in text.split("\n")) for part, text in data.pop("parts").items()}
        for group, found in data.items():
            patterns.setdefault(group, []).extend(found)

    def expand(text: str) -> str:
        for _ in range(DEEPEST):
            text = re.sub(r"(?<!P)<(\w+)>", lambda m: parts[m[1]], text)
        return text

    return Phrases(**{name: re.compile("|".join(f"(?:{expand(p)})" for p in found)) for name, found in patterns.items()})


def declining(phrases: Phrases, sentence: Sentence) -> bool:
    """Whether a sentence says no."""
    return bool(declines(phrases, sentence) or find(phrases.opening, sentence))


def find(pattern: re.Pattern[str], sentence: Sentence) -> tuple[int, int] | None:
    match = pattern.search(_TWICE.sub("", sentence.text) if "  " in sentence.text else sentence.text)
    return None if match is None else (sentence.start + match.start(), sentence.start + match.end())


def declines(phrases: Phrases, sentence: Sentence) -> tuple[int, int] | None:
    """Where a sentence says no, in English or another language."""
    english, foreign = phrases.may_decline.search(sentence.text), phrases.may_be_foreign.search(sentence.text)
    if not english and not foreign:
        return None
    text = Sentence(phrases.not_declining.sub(lambda m: "x" * len(m[0]), sentence.text), sentence.start)
    return (find(phrases.decline, text) if english else None) or (find(phrases.other_languages, text) if foreign else None)
