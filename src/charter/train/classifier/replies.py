"""Replies to learn from: jailbroken and declined answers, and the written refusals of the starter set."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from charter.core.rows import Conversation
from charter.data.sources import starter
from charter.judges import refusal
from charter.judges._heldout import gptfuzz_questions, is_held_out
from charter.train.classifier._reading import lines
from charter.train.classifier.rows import LabelledText

_REFUSAL = {"full": 1.0, "partial": 0.7, "none": 0.0}


def gptfuzz(data: Path, rng: random.Random, count: int) -> Iterator[LabelledText]:
    """GPTFuzzer's labelled replies: ``count`` to learn from, and a third as many to other questions, held out for the final mix (the questions that
    the refusal rules were not fitted on either). The refusal head learns from the refusal rules where they are sure."""
    questions = gptfuzz_questions(data)
    rows = [row for row in lines(data, "train/unsafe_reply.jsonl.gz") if row["source"] == "gptfuzz_train"]
    rng.shuffle(rows)
    for held in (False, True):
        mine = [row for row in rows if is_held_out(questions.get(row["prompt"], row["prompt"])) == held]
        most = count // 3 if held else count
        unsafe = [row for row in mine if row["label"] == "unsafe"][: most * 45 // 100]
        safe = [row for row in mine if row["label"] == "safe"][: most - len(unsafe)]
        for row in unsafe + safe:
            yield _labelled(questions.get(row["prompt"], row["prompt"]), row, "gptfuzz_replies_held" if held else "gptfuzz_replies")


def jailbroken(data: Path) -> Iterator[LabelledText]:
    """Replies of the JailbreakBench artifacts: kept for setting the final mix, not learned from by the network."""
    for row in lines(data, "train/unsafe_reply.jsonl.gz"):
        if row["source"].startswith("jbb_"):
            yield _labelled(row["prompt"], row, row["source"])


@cache
def _rules() -> refusal.RefusalJudge:
    return refusal.build(refusal.Config())


def _labelled(prompt: str, row: dict[str, str], source: str) -> LabelledText:
    unsafe = float(row["label"] == "unsafe")
    labels = {"harmful_reply": unsafe, "achieved": unsafe}  # what was asked for is harmful throughout
    judged = _rules()(Conversation.ask(prompt).with_reply(row["reply"]))
    if judged.label in _REFUSAL and judged.outcome in ("safe", "unsure"):
        labels["refusal"] = _REFUSAL[judged.label]
    return LabelledText(prompt, row["reply"], labels, "", source, row["licence"])


def declined(split: str) -> Iterator[LabelledText]:
    """The refusals written for the starter pairs, and its exemplar answers."""
    config = starter.Config(split="train" if split == "train" else "evaluation", parts=("harmful", "exemplars"))
    for example in starter.build(config):
        if example.target is None:
            continue
        style = next((tag[6:] for tag in example.tags if tag.startswith("style:")), "refusal")
        declined = {"refusal": 1.0, "redirection": 0.8, "partial_help": 0.5}.get(style, 0.0)
        labels = {"harmful_reply": 0.0, "refusal": declined, "achieved": 0.0 if declined == 0.8 else 1.0 - declined}
        yield LabelledText(example.prompt, example.target, labels, "", "starter_refusals", "Apache-2.0", 0.7)
