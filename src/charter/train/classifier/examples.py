"""Texts written one by one for Charter: what templates cannot teach. And attacks laid between ordinary sentences, beside ordinary texts alone.

The lines stand in ``examples/*.jsonl``: ``{"g": group, "t": text}``, for replies also ``"p"``, the request, and for texts beside an operator's
instructions ``"o"``, those. Every eighth line is held out, by its request, its instructions or else its text, so that calibration and operating
points see wording that nothing was learned from.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from charter.core.errors import DataError
from charter.train.classifier.contrast import TOXIC
from charter.train.classifier.requests import CONTENT, NO_CONTENT
from charter.train.classifier.rows import LabelledText

FOLDER = Path(__file__).with_name("examples")
#: Lines of the same form that the words beside the network learn from, and the network does not (docs/decisions/0060 says what they cost it).
FOR_WORDS = FOLDER / "words"
#: One line in so many is held out.
HELD_EVERY = 8
_NO_ATTACK = {"jailbreak": 0.0, "injection": 0.0}
#: Every head on a text that is harmless in every way.
PLAIN = {"harmful_request": 0.0, **_NO_ATTACK, **NO_CONTENT}
_LICENCE = "Apache-2.0"
#: Longest text that is laid between others, and longest of those, in words: the whole must fit into one window.
_SHORT, _AROUND = 32, 15
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ALIKE = re.compile("trigger|twin|lookalike|frr|quotes")


def written(folder: Path = FOLDER) -> Iterator[LabelledText]:
    """A folder's lines; those held out have a source that ends in ``_held``. Raises DataError naming file and row of a strange group."""
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            labels, hazard = _meaning(row["g"], f"{path.name}: row {number}", bool(row.get("h")))
            source = f"own_written_{path.stem}"
            held = zlib.crc32(row.get("o", row.get("p", row["t"])).encode()) % HELD_EVERY == 0
            text, reply = (row["p"], row["t"]) if "p" in row else (row["t"], None)
            yield LabelledText(text, reply, labels, hazard, f"{source}_held" if held else source, _LICENCE, operator=row.get("o"))


def _meaning(group: str, where: str, harmful: bool) -> tuple[dict[str, float], str]:
    """(labels, hazard) of a group; ``harmful``: whether what a reply was asked for is harmful."""
    kind, _, hazard = group.partition(":")
    if kind == "harmful":
        return {"harmful_request": 1.0, **_NO_ATTACK, **CONTENT.get(hazard, {})}, hazard
    if kind == "unclear":
        return dict(_NO_ATTACK), hazard
    if kind in ("sexual", "hate", "harassment", "violence", "self_harm"):
        others = {other: 0.0 for other in ("sexual", "self_harm") if other != kind}
        return {kind: 1.0, **_NO_ATTACK, **others, **({"toxicity": TOXIC[kind]} if kind in TOXIC else {})}, ""
    known: dict[str, dict[str, float]] = {
        "injection": {"injection": 1.0, "jailbreak": 0.0},
        "jailbreak": {"jailbreak": 1.0, "injection": 0.0},
        "plain": PLAIN,
        "content_plain": {**_NO_ATTACK, **NO_CONTENT},
        "reply_harmful": {"harmful_reply": 1.0},
        "reply_safe": {"harmful_reply": 0.0},
        "achieved": {"achieved": 1.0, "refusal": 0.0, "harmful_reply": float(harmful)},
        "refused": {"achieved": 0.0, "refusal": 1.0, "harmful_reply": 0.0},
        "evaded": {"achieved": 0.0, "harmful_reply": 0.0},
        "against": {"against_operator": 1.0},
        "within": {"against_operator": 0.0},
    }
    if group not in known:
        raise DataError(f"{where}: there is no group {group!r}", f"known: {', '.join(known)}, harmful:S1 to S14, unclear:S1 to S14, kinds of content")
    return dict(known[group]), ""


def among(rows: Sequence[LabelledText], rng: random.Random, count: int, source: str) -> Iterator[LabelledText]:
    """``count`` short attacks and harmful requests of ``rows`` between ordinary sentences, and as many texts of ordinary sentences alone.

    A whole text is what its worst part is. Without these the network takes the mean of a window: friendly words around an attack hid it.
    """
    short = [row for row in rows if row.alone and len(row.text.split()) <= _SHORT]
    bad = [row for row in short if any(row.labels.get(head, 0.0) >= 0.5 for head in ("harmful_request", "injection", "jailbreak"))]
    fine = [row for row in short if PLAIN.items() <= dict(row.labels).items() and not row.hazard]
    usual = [first for row in fine if not _ALIKE.search(row.source) and len((first := _SENTENCE.split(row.text)[0]).split()) <= _AROUND]
    if not bad or not usual:
        return
    for row in drawn(bad, rng, count):
        yield row._replace(text=_between(row.text, usual, rng), source=source)
    for row in drawn(fine, rng, count):
        yield row._replace(text=_between(row.text, usual, rng), source=source)


def drawn(rows: Sequence[LabelledText], rng: random.Random, count: int) -> list[LabelledText]:
    """At random, every source with the root of its rows, so that none of them is all of it."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.source] = sizes.get(row.source, 0) + 1
    return rng.choices(rows, [sizes[row.source] ** -0.5 for row in rows], k=count)


def _between(text: str, usual: Sequence[str], rng: random.Random) -> str:
    """``text`` with one to three ordinary sentences before it, behind it, or around it."""
    others = rng.choices(usual, k=rng.randint(1, 3))
    place = rng.choice((0, len(others), len(others), rng.randint(0, len(others))))
    return rng.choice((" ", " ", "\n", "\n\n")).join([*others[:place], text, *others[place:]])
