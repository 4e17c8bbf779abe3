"""Contrasts written for Charter: content beside harmless sentences with the same words, requests by hazard beside harmless ones, everyday tasks.

The templates stand in ``contrast.yaml``. Every sixth template is held out whole, so that calibration sees wording that nothing was learned from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from charter.train.classifier.requests import CONTENT, NO_CONTENT
from charter.train.classifier.rows import LabelledText

TEMPLATES = Path(__file__).with_name("contrast.yaml")
#: Every so many templates, one is held out.
HELD_EVERY = 6
#: Texts made of one template.
_PER_SENTENCE, _PER_REQUEST, _PER_TASK = 22, 9, 28
#: What Perspective would say of such content; unknown where it is not the same thing.
TOXIC = {"hate": 1.0, "harassment": 1.0, "violence": 0.8, "sexual": 0.8}
_PLAIN = {"harmful_request": 0.0, "jailbreak": 0.0, "injection": 0.0, **NO_CONTENT}
_SLOT = re.compile(r"\{(\w+)\}")
_LICENCE = "Apache-2.0"


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))
    return data


def fill(template: str, rng: random.Random, sentence: str = "") -> str:
    """``template`` with its slots filled at random: ``{s}`` is ``sentence``, each ``{n}`` a neutral sentence."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "s":
            return sentence
        pool: Sequence[str] = _data()["neutral"] if name == "n" else _data()["slots"][name.rstrip("2")]
        return rng.choice(pool)

    text = template
    while _SLOT.search(text):
        text = _SLOT.sub(value, text)
    return text[:1].upper() + text[1:]


def contents(rng: random.Random) -> Iterator[LabelledText]:
    """Sentences of each kind of content, alone and among neutral ones; the harmless ones; and content that is only quoted to be condemned."""
    for head, part in _data()["content"].items():
        labels = {head: 1.0, "jailbreak": 0.0, "injection": 0.0, **{k: 0.0 for k in ("sexual", "self_harm") if k != head}}
        labels |= {"toxicity": TOXIC[head]} if head in TOXIC else {}
        for template, held in _numbered(part["is"]):
            for text in _texts(template, rng, _PER_SENTENCE, _data()["frames"]):
                yield _row(text, labels, part["hazard"], "own_content", held)
            if head in ("hate", "harassment", "violence"):
                for text in _texts(template, rng, 3, _data()["quoting"]):
                    yield _row(text, {head: 0.0, "jailbreak": 0.0, "injection": 0.0, "harmful_request": 0.0}, "", "own_quotes", held, 0.5)
        for template, held in _numbered(part["not"]):
            for text in _texts(template, rng, _PER_SENTENCE, _data()["frames"]):
                yield _row(text, _PLAIN, "", "own_content", held)


def requests(rng: random.Random) -> Iterator[LabelledText]:
    """Harmful requests by hazard and harmless ones about the same subject. What is only unclear advice teaches its hazard and nothing else."""
    for code, part in _data()["requests"].items():
        harmful = {"harmful_request": 1.0, "jailbreak": 0.0, "injection": 0.0, **CONTENT.get(code, {})}
        kinds = {"harmful": (harmful, code), "unclear": ({"jailbreak": 0.0, "injection": 0.0}, code), "harmless": (_PLAIN, "")}
        for kind, (labels, hazard) in kinds.items():
            for template, held in _numbered(part.get(kind, [])):
                for text in _texts(template, rng, _PER_REQUEST, ("{s}",)):
                    yield _row(text, labels, hazard, "own_requests", held)


def everyday(rng: random.Random, passages: Sequence[str]) -> Iterator[LabelledText]:
    """Everyday tasks, alone, several in one message, and with a harmless passage to work on."""
    numbered = list(_numbered(_data()["everyday"]))
    for template, held in numbered:
        others = [t for t, h in numbered if h == held]
        for number, text in enumerate(_texts(template, rng, _PER_TASK, ("{s}",))):
            if number % 3 == 1:
                text = " ".join([text, *(fill(rng.choice(others), rng) for _ in range(rng.randint(1, 3)))])
            if number % 3 == 2:
                text = f"{text}\n\n{rng.choice(passages)[: rng.randint(80, 500)]}"
            yield _row(text, _PLAIN, "", "own_everyday", held)


def _numbered(templates: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for number, template in enumerate(templates):
        yield template, number % HELD_EVERY == HELD_EVERY - 1


def _texts(template: str, rng: random.Random, count: int, frames: Sequence[str]) -> list[str]:
    found = [_vary(fill(rng.choice(frames), rng, fill(template, rng)), rng) for _ in range(count)]
    return list(dict.fromkeys(found))


def _vary(text: str, rng: random.Random) -> str:
    way = rng.random()
    return text.lower() if way < 0.15 else text.rstrip(".?") if way < 0.35 else text


def _row(text: str, labels: dict[str, float], hazard: str, source: str, held: bool, weight: float = 1.0) -> LabelledText:
    return LabelledText(text, None, labels, hazard, f"{source}_held" if held else source, _LICENCE, weight)
