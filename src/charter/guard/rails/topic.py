"""Topics: allowed and denied ones, named by a few words each. By words, or by embeddings of any model.

``by: words``: a topic is met when all words of one of its phrases occur, in any order and with any ending. Otherwise every sentence is compared with
the phrases by the cosine of their embeddings: ``minilm`` (extra ``embeddings``), a folder, hf:ORG/NAME, or openai:MODEL@URL.

Of a request, denied topics are looked for in every message of ``roles``, in the users' together, and in the forms that undo disguises; what is no
user's is read without sentences that forbid; by words the words of a phrase must stand within 300 characters. Allowed topics are asked of each
message of a user.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from charter.core import stopping
from charter.core.config import Config as BaseConfig
from charter.core.config import SpecText
from charter.core.normalise.fold import fold
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails._disguise import all_forms
from charter.guard.rails._forbidding import without_forbidding
from charter.guard.rails._said import say
from charter.guard.rails._texts import ROLES, Role, by_message, passages, spoken
from charter.models._embeddings import Embedder, load_embedder

NOT_COVERED = (
    "What a topic is for: news about gambling and gambling are one. By words, synonyms pass; by embeddings, threshold and phrases need calibration. "
    "The model's earlier answers are not read, and that a text is about no allowed topic is found in users' messages and in replies alone."
)
COST = "local"
CALIBRATES = False
EXAMPLE = {"deny": {"gambling": ["sports betting", "online casino"]}}
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]?")
_WORD = re.compile(r"[^\W_]+")
#: Characters of a text in which all words of a phrase must stand together.
_PASSAGE = 300
#: Characters of which every encoder reads the last, whatever the letters: a few hundred tokens are the least that they take.
_STRETCH = 240
#: Pieces that are embedded at a time.
_BATCH = 32


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
    least: int = Field(default=3, ge=1, description="words that a message must have to be off topic: greetings are not")
    roles: tuple[Role, ...] = Field(
        default=ROLES,
        min_length=1,
        description="whose messages of a request; descriptions of tools are system, a reply begun for the model assistant",
    )
    joined_chars: int = Field(default=2000, ge=0, description="end of all user turns that is also read as one text; 0 reads messages only alone")

    @model_validator(mode="after")
    def _phrases(self) -> Config:
        if not self.allow and not self.deny:
            raise ValueError("give topics to allow or to deny")
        empty = [name for name, phrases in (*self.allow.items(), *self.deny.items()) if not phrases or not all(_WORD.search(p) for p in phrases)]
        if empty:
            raise ValueError(f"the topic {empty[0]!r} needs phrases with words in them")
        if not self.deny and "user" not in self.roles:
            raise ValueError("allowed topics are asked of users' messages: roles must name user")
        return self


class TopicRail:
    """Score: how surely any text of the request, or the reply, is about a denied topic, or about no allowed one. ``label`` names it."""

    name = "topic"

    def __init__(self, config: Config, embedder: Embedder | None) -> None:
        self._config = config
        self._about = _Words(config) if embedder is None else _Cosines(config, embedder)
        self._passage = _PASSAGE if embedder is None else sys.maxsize
        self.version = f"2+{config.by}"
        self.cost = "remote" if config.by.startswith("openai:") else "local" if embedder is not None else "instant"
        all_forms(["w0rd\u200b"])  # the tables of letter forms are read now, and not while the first request waits

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        denied, asked = self._reply(conversation) if stage == "output" else self._request(conversation)
        denied, asked = [t for t in denied if _WORD.search(t)], [t for t in asked if len(_WORD.findall(t)) >= self._config.least]
        near = dict(zip(texts := list(dict.fromkeys([*denied, *asked])), self._about(texts), strict=True))
        if not near:
            return say(conversation, self.name, self.version, "safe", score=0.0, reason="no words")
        found = [(near[text][name], name) for text in denied for name in self._config.deny]
        found += [(1.0 - max(near[text][name] for name in self._config.allow), "off topic") for text in asked]
        score, label = max(found, default=(0.0, ""))
        return say(conversation, self.name, self.version, "unsafe" if score >= 0.5 else "safe", score=score, label=label if score >= 0.5 else "")

    def _reply(self, conversation: Conversation) -> tuple[list[str], list[str]]:
        said = by_message(conversation, ("assistant",), "output")
        return all_forms(said) if self._config.deny else [], said if self._config.allow else []

    def _request(self, conversation: Conversation) -> tuple[list[str], list[str]]:
        """Texts in which denied topics are looked for, and those that must be about an allowed one."""
        own, others = spoken(conversation, self._config.roles, self._config.joined_chars)
        said = passages([*own, *map(without_forbidding, others)], self._passage)
        alone = by_message(conversation, ("user",)) if self._config.allow and "user" in self._config.roles else []
        return all_forms(said) if self._config.deny else [], alone


class _Words:
    """1 for a topic one of whose phrases occurs whole, else 0."""

    def __init__(self, config: Config) -> None:
        self._topics = {name: [_stems(p) for p in phrases] for name, phrases in (*config.allow.items(), *config.deny.items())}

    def __call__(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        stems = [_stems(text) for text in texts]
        return [{name: float(any(phrase <= there for phrase in phrases)) for name, phrases in self._topics.items()} for there in stems]


class _Cosines:
    """The nearest sentence to the nearest phrase of each topic, as a score. Every sentence is read."""

    def __init__(self, config: Config, embedder: Embedder) -> None:
        self._config, self._embedder = config, embedder
        self._topics = {name: embedder.embed(list(phrases)) for name, phrases in (*config.allow.items(), *config.deny.items())}

    def __call__(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        pieces = [_pieces(text) for text in texts]
        near = self._near(list(dict.fromkeys(piece for own in pieces for piece in own)))
        return [{name: self._score(max(near[piece][name] for piece in own)) for name in self._topics} for own in pieces]

    def _near(self, pieces: Sequence[str]) -> dict[str, dict[str, float]]:
        """Cosines by piece and topic. Pieces of like length are read together: an encoder fills the short ones up."""
        found: dict[str, dict[str, float]] = {}
        ordered = sorted(pieces, key=len)
        for at in range(0, len(ordered), _BATCH):
            stopping.check()
            batch = ordered[at : at + _BATCH]
            rows = self._embedder.embed(batch)
            cosines = {name: (rows @ phrases.T).max(axis=1) for name, phrases in self._topics.items()}
            found |= {piece: {name: float(row[n]) for name, row in cosines.items()} for n, piece in enumerate(batch)}
        return found

    def _score(self, cosine: float) -> float:
        return 1.0 / (1.0 + math.exp(-self._config.steepness * (cosine - self._config.near)))


def _stems(text: str) -> frozenset[str]:
    """Words without their commonest endings."""
    return frozenset(re.sub(r"(?:'s|ing|ers?|ed|es|s|e)$", "", word) if len(word) > 4 else word for word in _WORD.findall(fold(text).text))


def _pieces(text: str) -> list[str]:
    """The beginning of the text, every sentence, and every stretch of a sentence that is longer than an encoder reads for sure."""
    sentences = [piece.strip() for piece in _SENTENCE.findall(text) if _WORD.search(piece)]
    stretches = passages((sentence for sentence in sentences if len(sentence) > _STRETCH), _STRETCH)
    return list(dict.fromkeys([text[:2000], *sentences, *stretches]))


def build(config: Config) -> TopicRail:
    """The rail with its topics. Raises MissingPartError, ModelError or InputError where the embeddings cannot be had."""
    return TopicRail(config, None if config.by == "words" else load_embedder(config.by))
