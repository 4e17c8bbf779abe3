"""Personal data: e-mail, phone, card, IBAN, social security number and more. Masks reversibly: what is masked in a request can come back.

``engine: builtin`` finds by form and checksum with no further package. ``engine: presidio`` adds the pattern recognisers of Microsoft Presidio (extra
``pii``), and ``ner`` a spaCy model for names and places. Presidio skips a pattern that runs too long and says so only in its log: the rail's own
time-out, which is shorter, blocks instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from charter.core.config import Config as BaseConfig
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import Stage
from charter.guard.rails import _personal
from charter.guard.rails._personal import Finder, Hit
from charter.guard.rails._said import say, say_found
from charter.guard.rails._texts import unanswered
from charter.guard.segments import view

NOT_COVERED = (
    "Names, places and anything without a form (unless ner is set), identifiers of most countries with engine: builtin, and data in pictures."
)
COST = "instant"
MASKS = True
CALIBRATES = False


class Config(BaseConfig):
    """What is looked for."""

    engine: Literal["builtin", "presidio"] = Field(default="builtin", description="presidio needs the extra pii")
    kinds: tuple[str, ...] = Field(default=(), description="only these, such as EMAIL, PHONE, CARD, IBAN, SSN; leave out for all")
    at_least: float = Field(default=0.6, gt=0.0, le=1.0, description="how sure a find must be to be reported")
    known: bool = Field(
        default=True, description="in a reply, leave alone what already stands in the request: repeating it tells nobody anything new"
    )
    allow: tuple[str, ...] = Field(default=(), description="values that are fine, such as your own support address")
    phone_regions: tuple[str, ...] = Field(
        default=(), description="also phone numbers written as in these countries (US, DE, …); needs the extra pii"
    )
    ner: str = Field(default="", description="a spaCy model, such as en_core_web_sm; needs engine: presidio")
    language: str = Field(default="en", min_length=2, description="language of Presidio's recognisers")

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.ner and self.engine != "presidio":
            raise ValueError("ner needs engine: presidio")
        unknown = sorted({kind.upper() for kind in self.kinds} - set(_personal.KINDS))
        if unknown and self.engine == "builtin":
            raise ValueError(f"kinds: the builtin engine finds no {', '.join(unknown)}; it knows {', '.join(_personal.KINDS)}")
        return self


class PiiRail:
    """The surest find is the score. ``label`` is the kind of each span; no value is ever in a reason."""

    name = "pii"
    longest = 96

    def __init__(self, config: Config, finders: Sequence[Finder], version: str, cost: str) -> None:
        self._config, self._finders = config, finders
        self.version, self.cost = version, cost
        self._allowed = {_bare(value) for value in config.allow}

    def __call__(self, conversation: Conversation, stage: Stage) -> Verdict:
        text = view(conversation, stage).text
        hits, fine = self.find(text, self._config.at_least), set(self._allowed)
        if hits and stage == "output" and self._config.known:
            asked = view(unanswered(conversation), "input").text
            fine |= {_bare(asked[hit.start : hit.end]) for hit in self.find(asked, at_least=0.0)}
        hits = [hit for hit in hits if _bare(text[hit.start : hit.end]) not in fine]
        if not hits:
            return say(conversation, self.name, self.version, "safe", score=0.0)
        found = ((hit.start, hit.end, hit.kind) for hit in hits)
        return say_found(conversation, self.name, self.version, found, max(hit.score for hit in hits))

    def find(self, text: str, at_least: float) -> list[Hit]:
        """Hits from ``at_least`` on, none inside a surer one."""
        wanted = {kind.upper() for kind in self._config.kinds}
        hits = [hit for finder in self._finders for hit in finder(text) if hit.score >= at_least and (not wanted or hit.kind in wanted)]
        kept: list[Hit] = []
        for hit in sorted(hits, key=lambda h: (-h.score, h.start - h.end)):
            if not any(other.start < hit.end and hit.start < other.end for other in kept):
                kept.append(hit)
        return sorted(kept)


def _bare(value: str) -> str:
    """A value as compared: letters and digits only, lower case."""
    return re.sub(r"[\W_]+", "", value).lower()


def build(config: Config) -> PiiRail:
    """The rail with its finders. Raises MissingPartError where the extra ``pii`` is needed and missing, InputError for an unknown model or region."""
    finders: list[Finder] = [_personal.find]
    version, cost = "2", "instant"
    if config.engine == "presidio" or config.phone_regions:
        from charter.guard.rails import _presidio

        if config.phone_regions:
            finders.append(_presidio.phone_finder(config.phone_regions))
        if config.engine == "presidio":
            finders.append(_presidio.finder(config.language, config.ner))
            cost = "local"
        version = f"2+{_presidio.version(config.engine == 'presidio')}"
    return PiiRail(config, finders, version, cost)
