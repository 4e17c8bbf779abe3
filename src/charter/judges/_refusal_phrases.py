"""The phrases of the refusal judge, compiled from ``refusal.yaml`` and ``refusal_general.yaml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from charter.core.config import read_yaml
from charter.judges._refusal_text import Sentence

_TWICE = re.compile(r"(?<= ) ")


class Phrases(NamedTuple):
    """Compiled patterns by group, see ``refusal.yaml``."""

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


def load_phrases() -> Phrases:
    """Read the phrase list that ships beside this file."""
    data = dict(read_yaml(Path(__file__).with_name("refusal.yaml")).data)
    parts = {name: "".join(line.strip() for line in text.split("\n")) for name, text in data.pop("parts").items()}

    def expand(text: str) -> str:
        for _ in range(3):
            text = re.sub(r"<(\w+)>", lambda m: parts[m[1]], text)
        return text

    groups = {name: re.compile("|".join(f"(?:{expand(p)})" for p in patterns)) for name, patterns in data.items()}
    return Phrases(**groups, not_declining=re.compile(expand("<i> <not_declining>")))


def declining(phrases: Phrases, sentence: Sentence) -> bool:
    """Whether a sentence says no."""
    return bool(declines(phrases, sentence) or find(phrases.opening, sentence))


def find(pattern: re.Pattern[str], sentence: Sentence) -> tuple[int, int] | None:
    match = pattern.search(_TWICE.sub("", sentence.text) if "  " in sentence.text else sentence.text)
    return None if match is None else (sentence.start + match.start(), sentence.start + match.end())


def declines(phrases: Phrases, sentence: Sentence) -> tuple[int, int] | None:
    text = Sentence(phrases.not_declining.sub(lambda m: "x" * len(m[0]), sentence.text), sentence.start)
    return find(phrases.decline, text) or find(phrases.other_languages, text)
