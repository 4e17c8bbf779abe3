"""Topics: allowed and denied ones, named by a few words each. By words, or by embeddings of any model.

``by: words``: a topic is met when all words of one of its phrases occur, in any order and with any ending. Otherwise sentences are compared with the
phrases by the cosine of their embeddings: ``minilm`` (extra ``embeddings``), a folder, hf:ORG/NAME, or openai:MODEL@URL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.config import SpecText
from charter.core.normalise.fold import fold
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._said import say
from charter.guard.rails._texts import by_message
from charter.models._embeddings import Embedder, load_embedder

NOT_COVERED = (
    "What a topic is for: news about gambling and gambling are one. By words, synonyms pass; by embeddings, threshold and phrases need calibration."
)
COST = "local"
CALIBRATES = False
EXAMPLE = {"deny": {"gambling": ["sports betting", "online casino"]}}
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]?")
_WORD = re.compile(r"[^\W_]+")


class Config(BaseConfig):
    """Topics by name, each with a few phrases that stand for it."""

    allow: dict[str, tuple[str, ...]] = Field(default={}, description="if given, whatever is about none of these is off topic")
    deny: dict[str, tuple[str, ...]] = Field(default={}, description="whatever is about one of these")
    by: SpecText = Field(
        default="words",
        min_length=1,
        description="words, minilm, a folder, hf:ORG/NAME, openai:MODEL@URL, openai: {model: MODEL@URL, api_key_env: MY_KEY}",
    )
    near: float = Field(default=0.35, gt=0.0, lt=1.0, description="cosine at which the score is 0.5")
    steepness: float = Field(default=20.0, gt=0.0, description="of the score around it")
    least: int = Field(default=3, ge=1, description="words that a text must have to be off topic: greetings are not")

    @model_validator(mode="after")
    def _phrases(self) -> Config:
        if not self.allow and not self.deny:
            raise ValueError("give topics to allow or to deny")
        empty = [name for name, phrases in (*self.allow.items(), *self.deny.items()) if not phrases or not all(_WORD.search(p) for p in phrases)]
        if empty:
            raise ValueError(f"the topic {empty[0]!r} needs phrases with words in them")
        return self


class TopicRail:
    """Score: how surely the last user message (input) or the reply (output) is about a denied topic, or about no allowed one. ``label`` names it."""

    name = "topic"

    def __init__(self, config: Config, embedder: Embedder | None) -> None:
        self._config = config
        self._about = _Words(config) if embedder is None else _Cosines(config, embedder)
        self.version = f"1+{config.by}"
        self.cost = "remote" if config.by.startswith("openai:") else "local" if embedder is not None else "instant"

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        text = (by_message(conversation, ("user",) if stage == "input" else ("assistant",), stage) or [""])[-1]
        if not _WORD.search(text):
            return say(conversation, self.name, self.version, "safe", score=0.0, reason="no words")
        near = self._about(text)
        denied = max(((near[name], name) for name in self._config.deny), default=(0.0, ""))
        allowed = max((near[name] for name in self._config.allow), default=1.0)
        off = 1.0 - allowed if self._config.allow and len(_WORD.findall(text)) >= self._config.least else 0.0
        score, label = max(denied, (off, "off topic"))
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, label=label if score >= 0.5 else "")


class _Words:
    """1 for a topic one of whose phrases occurs whole, else 0."""

    def __init__(self, config: Config) -> None:
        self._topics = {name: [_stems(p) for p in phrases] for name, phrases in (*config.allow.items(), *config.deny.items())}

    def __call__(self, text: str) -> Mapping[str, float]:
        there = _stems(text)
        return {name: float(any(phrase <= there for phrase in phrases)) for name, phrases in self._topics.items()}


class _Cosines:
    """The nearest sentence to the nearest phrase of each topic, as a score."""

    def __init__(self, config: Config, embedder: Embedder) -> None:
        self._config, self._embedder = config, embedder
        self._topics = {name: embedder.embed(list(phrases)) for name, phrases in (*config.allow.items(), *config.deny.items())}

    def __call__(self, text: str) -> Mapping[str, float]:
        near = self._embedder.embed(_pieces(text))
        cosines = {name: float((near @ phrases.T).max()) for name, phrases in self._topics.items()}
        return {name: 1.0 / (1.0 + math.exp(-self._config.steepness * (cosine - self._config.near))) for name, cosine in cosines.items()}


def _stems(text: str) -> frozenset[str]:
    """Words without their commonest endings."""
    return frozenset(re.sub(r"(?:'s|ing|ers?|ed|es|s|e)$", "", word) if len(word) > 4 else word for word in _WORD.findall(fold(text).text))


def _pieces(text: str, most: int = 32) -> Sequence[str]:
    """The whole text and its sentences, at most ``most`` of them: the longest."""
    sentences = [piece.strip() for piece in _SENTENCE.findall(text) if _WORD.search(piece)]
    return list(dict.fromkeys([text[:2000], *sorted(sentences, key=len, reverse=True)[: most - 1]]))


def build(config: Config) -> TopicRail:
    """The rail with its topics. Raises MissingPartError, ModelError or InputError where the embeddings cannot be had."""
    return TopicRail(config, None if config.by == "words" else load_embedder(config.by))
