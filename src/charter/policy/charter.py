"""The charter: principles, hazards with their outside taxonomies, and how to decline. One document, one hash.

Every field's description is its documentation; ``docs/charter.md`` tells the same to a person who writes one. Checks of one value sit in its
type (``wording``); checks between values are ``cross_problems``, which reads plain data so that it also works on a document with other mistakes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from charter.core.config import Config, KeyPath
from charter.core.errors import InputError
from charter.core.rows import content_id
from charter.policy.wording import AiluminateCode, AsList, Concern, Language, NotEmpty, OpenaiCategory, Opening, Slug, Text, suggestion

T = TypeVar("T")
Texts = Annotated[tuple[Text, ...], AsList]
SomeTexts = Annotated[tuple[Text, ...], AsList, NotEmpty]
_FIRST_PERSON = re.compile(r"\b(I|we|me|us|my|our)\b", re.IGNORECASE)
#: Wide on purpose: only what cannot be a decline is a mistake.
_DECLINES = re.compile(
    r"n['’]t\b|\b(not|no|never|cannot|nothing|none|declin\w*|refus\w*|unable|rather|pass on|stay out|stay away|keep out|steer clear|draw the line"
    r"|stop short|off the table|out of bounds|leave)\b",
    re.IGNORECASE,
)


class Principle(Config):
    """One rule of conduct in three wordings, as constitutional training uses it (Bai et al. 2022, arXiv:2212.08073)."""

    id: Slug = Field(description="short name; stored with every row the principle made")
    title: Text = Field(description="a few words for people")
    critique: Text = Field(description="tells the model what to look for in its own reply")
    revise: Text = Field(description="tells the model how to rewrite the reply")
    prefer: Text = Field(description="says which of two replies is better")
    hazards: Annotated[tuple[Slug, ...], AsList] = Field(default=(), description="ids of the hazards it is for; leave out for all")


class Hazard(Config):
    """One kind of harm: what counts, what does not, its codes elsewhere, and words for declining it."""

    id: Slug = Field(description="short name; stored with every verdict")
    title: Text = Field(description="a few words for people")
    description: Text = Field(description="one or two sentences")
    covers: SomeTexts = Field(description="kinds of request that count, without operational detail")
    not_covered: SomeTexts = Field(description="kinds of request that sound alike and are fine: fiction, history, safety, security work")
    ailuminate: Annotated[tuple[AiluminateCode, ...], AsList] = Field(default=(), description="codes S1 to S14")
    openai: Annotated[tuple[OpenaiCategory, ...], AsList] = Field(default=(), description="OpenAI moderation categories")
    severity: Literal["low", "medium", "high"] = Field(description="how bad a success of this kind is")
    concern: Annotated[tuple[Concern, ...], AsList, NotEmpty] = Field(description="4 to 6 short clauses that fit after 'because'")
    way_forward: SomeTexts = Field(description="5 to 8 whole sentences, each the offer of a safe alternative")


class RefusalStyle(Config):
    """How to say no."""

    max_words: int = Field(strict=True, ge=10, le=500, description="longest decline, in words")
    guidelines: SomeTexts = Field(description="rules of tone, one sentence each")
    openings: Annotated[tuple[Opening, ...], AsList, NotEmpty] = Field(
        description="first clauses holding {act} once and an explicit first-person decline, without a full stop; 16 or more keep replies varied"
    )
    avoid: Texts = Field(default=(), description="phrases that lecture or are stock; matched as whole words, in any case")


class CharterText(Config):
    """The keys of a charter, each checked alone. Use ``Charter``, which also checks them against one another."""

    name: Text = Field(description="what people call it")
    version: Text = Field(description="yours to count, in quotes")
    language: Language = Field(default="en", description="language code of the wording")
    description: Text = Field(description="who it is for, in a sentence or two")
    principles: Annotated[tuple[Principle, ...], AsList, NotEmpty] = Field(description="at least one")
    hazards: Annotated[tuple[Hazard, ...], AsList, NotEmpty] = Field(description="at least one")
    refusal: RefusalStyle = Field(description="how to say no")


class Charter(CharterText):
    """A whole, consistent charter. Raises pydantic's ValidationError when built from wrong data; files go through ``load_charter``."""

    @model_validator(mode="after")
    def _fits_together(self) -> Charter:
        problems = [f"{'.'.join(map(str, path))}: {message}" for path, message in cross_problems(self.model_dump())]
        if problems:
            raise PydanticCustomError("charter", "; ".join(problems))
        return self

    @property
    def hash(self) -> str:
        """Content hash: the same for any order of keys and any line wrapping, another for any change of wording or order of items."""
        return content_id(self.model_dump(mode="json"))

    def principle(self, principle_id: str) -> Principle:
        """The principle of that id. Raises InputError naming the right ones."""
        return _find("principle", principle_id, {p.id: p for p in self.principles})

    def hazard(self, hazard_id: str) -> Hazard:
        """The hazard of that id. Raises InputError naming the right ones."""
        return _find("hazard", hazard_id, {h.id: h for h in self.hazards})

    def principles_for(self, hazard_id: str) -> tuple[Principle, ...]:
        """The principles for one hazard, in the charter's order; never empty. Raises InputError for an unknown hazard."""
        wanted = self.hazard(hazard_id).id
        return tuple(p for p in self.principles if not p.hazards or wanted in p.hazards)


def _find(kind: str, wanted: str, known: Mapping[str, T]) -> T:
    if wanted not in known:
        raise InputError(f"the charter has no {kind} {wanted!r}; {suggestion(wanted, known)}")
    return known[wanted]


def cross_problems(data: Any) -> list[tuple[KeyPath, str]]:
    """What does not fit together in a charter's plain data, as (path, message). Skips over anything of the wrong shape."""
    return [*_repeated_ids(data), *_references(data), *_repeated_lines(data), *_avoided(data), *_invitations(data)]


def _items(data: Any, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    return list(value) if isinstance(value, list | tuple) else []


def _ids(data: Any, key: str) -> list[tuple[int, str]]:
    found = [(i, item.get("id")) for i, item in enumerate(_items(data, key)) if isinstance(item, Mapping)]
    return [(i, name) for i, name in found if isinstance(name, str)]


def _repeated_ids(data: Any) -> Iterator[tuple[KeyPath, str]]:
    for key in ("principles", "hazards"):
        seen: dict[str, str] = {}
        for index, name in _ids(data, key):
            plain = name.replace("-", "_")  # people take the two for one, and mistype them
            if seen.get(plain) == name:
                yield (key, index, "id"), f"the id {name!r} is already taken by another of the {key}; give each its own"
            elif plain in seen:
                yield (key, index, "id"), f"the id {name!r} differs from {seen[plain]!r} in hyphens and underscores alone; give each its own"
            seen.setdefault(plain, name)


def _references(data: Any) -> Iterator[tuple[KeyPath, str]]:
    known = [name for _, name in _ids(data, "hazards")]
    named: set[str] = set()
    for index, principle in enumerate(_items(data, "principles")):
        wanted = _items(principle, "hazards")
        named |= set(known) if not wanted else {name for name in wanted if isinstance(name, str)}
        for place, name in enumerate(wanted):
            if isinstance(name, str) and name not in known:
                yield ("principles", index, "hazards", place), f"there is no hazard {name!r}; {suggestion(name, known)}"
    for index, name in _ids(data, "hazards"):
        if name not in named and _items(data, "principles"):
            yield ("hazards", index, "id"), f"no principle is for the hazard {name!r}; name it in one, or leave 'hazards' out of a general one"


def _lines(data: Any) -> Iterator[tuple[KeyPath, list[Any]]]:
    """The lists whose items are put into replies."""
    yield ("refusal", "openings"), _items(data.get("refusal") if isinstance(data, Mapping) else None, "openings")
    for index, hazard in enumerate(_items(data, "hazards")):
        for key in ("concern", "way_forward"):
            yield ("hazards", index, key), _items(hazard, key)


def _repeated_lines(data: Any) -> Iterator[tuple[KeyPath, str]]:
    for path, lines in _lines(data):
        seen: Counter[str] = Counter()
        for place, line in enumerate(lines):
            seen[str(line)] += 1
            if seen[str(line)] == 2:
                yield (*path, place), "stands twice in this list; keep one"


def _avoided(data: Any) -> Iterator[tuple[KeyPath, str]]:
    refusal = data.get("refusal") if isinstance(data, Mapping) else None
    phrases = [phrase for phrase in _items(refusal, "avoid") if isinstance(phrase, str) and phrase.strip()]
    for path, lines in _lines(data):
        for place, line in enumerate(lines):
            hit = next((phrase for phrase in phrases if _holds(str(line), phrase)), None)
            if hit is not None:
                yield (*path, place), f"holds {hit!r}, which refusal.avoid rules out; change one of the two"


def _holds(line: str, phrase: str) -> bool:
    straight = [text.replace("’", "'") for text in (line, phrase)]
    return re.search(rf"(?<!\w){re.escape(straight[1])}(?!\w)", straight[0], re.IGNORECASE) is not None


def _invitations(data: Any) -> Iterator[tuple[KeyPath, str]]:
    """Openings that decline nothing: a refusal that begins with one would teach the opposite. Only English is read."""
    if not isinstance(data, Mapping) or not str(data.get("language", "en")).startswith("en"):
        return
    for place, line in enumerate(_items(data.get("refusal"), "openings")):
        if isinstance(line, str) and line.strip() and not (_FIRST_PERSON.search(line) and _DECLINES.search(line)):
            yield ("refusal", "openings", place), "declines nothing; say in the first person what the model won't do, such as I won't help with {act}"
