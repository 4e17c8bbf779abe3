"""Prompt Guard 1 and 2: does a text try to override instructions? Local classifier weights, long texts by windows.

Weights: meta-llama/Llama-Prompt-Guard-2-86M and -22M (MALICIOUS or BENIGN), Prompt-Guard-86M (INJECTION, JAILBREAK, BENIGN), or any
sequence-classification weights with such labels; model cards in PurpleLlama. 512 tokens a window; the worst window decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict, content_id
from charter.judges._algebra import by_score, ordered
from charter.judges._asking import NoVerdict
from charter.judges.perspective import text_of
from charter.models._classify import TextClassifier, Window
from charter.models._identity import identity

NOT_COVERED = (
    "Harmful requests that override nothing, and attacks in other words than those it knows: on one broad set of injections it misses most. "
    "Version 1 raises many false alarms. The 22M weights read English. It reads "
    "weights on this machine; no URL serves it."
)
#: What labels mean, in capitals. Weights whose labels were never named say LABEL_0 (benign) and LABEL_1 (malicious).
BENIGN = frozenset({"BENIGN", "SAFE", "LABEL_0"})
MALICIOUS = {"MALICIOUS": ("jailbreak", "injection"), "LABEL_1": ("jailbreak", "injection"), "JAILBREAK": ("jailbreak",), "INJECTION": ("injection",)}


class Config(BaseConfig):
    """Settings of the Prompt Guard judge."""

    model: str = Field(default="", description="a folder of weights, or hf:ORG/NAME")
    high: float = Field(default=0.5, ge=0.0, le=1.0, description="unsafe at or over this probability")
    low: float = Field(default=0.5, ge=0.0, le=1.0, description="safe under this probability; between the two it is unsure")
    judge: Literal["request", "last", "reply"] = Field(default="request", description="the text that is judged")
    _ordered = model_validator(mode="after")(ordered)


class PromptGuardJudge:
    """``score`` is 1 - P(benign) of the worst window, whose place is the span; ``scores`` has jailbreak and injection."""

    name = "prompt_guard"
    answers = ("jailbreak", "injection")

    def __init__(self, classifier: TextClassifier, config: Config) -> None:
        self._classifier = classifier
        self._config = config
        self.version = f"1.{content_id([config.high, config.low, config.judge])[:8]}+{identity(classifier.spec)}"

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        texts = [text_of(c, self._config.judge) for c in conversations]
        found = iter(self._classifier.windows([text for text in texts if text is not None]) if any(texts) else [])
        return [self._judge(c, None if text is None else next(found)) for c, text in zip(conversations, texts, strict=True)]

    def _judge(self, conversation: Conversation, windows: list[Window] | None) -> Verdict:
        if not windows:
            return self._verdict(conversation, outcome="failed", reason=f"there is no {self._config.judge} text to judge")
        try:
            heads = [read_labels(window.labels) for window in windows]
        except NoVerdict as error:
            return self._verdict(conversation, outcome="failed", reason=f"not a verdict: {error}")
        worst = max(range(len(windows)), key=lambda i: heads[i]["malicious"])
        score = heads[worst]["malicious"]
        scores = {name: max(head[name] for head in heads) for name in ("jailbreak", "injection")}
        outcome = by_score(score, self._config.low, self._config.high)
        spans = ((windows[worst].start, windows[worst].end),) if outcome == "unsafe" and windows[worst].end else ()
        return self._verdict(conversation, outcome=outcome, score=score, scores=scores, spans=spans)

    def _verdict(self, conversation: Conversation, **content: object) -> Verdict:
        return Verdict.model_validate({"subject": conversation.id, "judge": self.name, "judge_version": self.version, **content})


def read_labels(labels: dict[str, float]) -> dict[str, float]:
    """P(malicious), and P by head. Raises NoVerdict unless the labels are known, exactly one is benign, and the numbers are probabilities."""
    named = {name.upper(): value for name, value in labels.items()}
    benign = [name for name in named if name in BENIGN]
    if len(benign) != 1 or len(named) < 2 or any(name not in MALICIOUS for name in named if name not in BENIGN):
        raise NoVerdict(f"labels that are not Prompt Guard's: {', '.join(sorted(named))[:80]}")
    if not all(0.0 <= value <= 1.0 for value in named.values()) or abs(sum(named.values()) - 1.0) > 0.01:
        raise NoVerdict("numbers that are no probabilities")
    heads = {"jailbreak": 0.0, "injection": 0.0}
    for name, value in named.items():
        for head in MALICIOUS.get(name, ()):
            heads[head] += value
    return {"malicious": min(1.0, max(0.0, 1.0 - named[benign[0]])), **{head: min(1.0, value) for head, value in heads.items()}}


def build(config: Config) -> PromptGuardJudge:
    """Raises InputError without weights; ModelError, at the first text, for weights that cannot be loaded or are no such classifier."""
    if not config.model:
        raise InputError("the judge prompt_guard reads weights, and none were given", "prompt_guard:hf:meta-llama/Llama-Prompt-Guard-2-86M")
    return PromptGuardJudge(TextClassifier(config.model), config)
