"""What is to be asked: which items a limit takes, and in which forms and draws each is put to the model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import NamedTuple

from charter.core.errors import InputError
from charter.core.rows import Conversation, Example, Message, Source, content_id
from charter.core.seeds import derive, stream
from charter.core.shapes import Attack
from charter.evaluate.measured import answer_key

#: What an attack is tried on to see its words.
GOAL = Example(key="goal", conversation=Conversation.ask("Say something unkind."), harmful=True, source=Source(dataset="charter"))


class Question(NamedTuple):
    """One conversation for one draw of one example, and the key of its answer."""

    key: str
    example: Example
    conversation: Conversation


@dataclass(frozen=True)
class Disguise:
    """An attack by name: it puts each harmful item in its own words before it is asked. ``settings``: those that are not its defaults, as they stand
    in the names of metrics."""

    name: str
    attack: Attack
    seed: int = 0
    settings: str = ""

    @property
    def label(self) -> str:
        return f"{self.name}:{self.settings}" if self.settings else self.name

    @cached_property
    def words(self) -> str:
        """Names what the attack is made of, and the seed if it draws anything: two with the same put an item in the same words. Its fields where it
        is a dataclass, as the shelf's are, and what it makes of a goal of ours."""
        attack = self.attack
        made: dict[str, object] = {}
        if is_dataclass(attack) and not isinstance(attack, type):
            made = {field.name: getattr(attack, field.name) for field in fields(attack)}
        rng = stream(0, "attack", self.name, GOAL.key)
        before = rng.getstate()
        said = [form.id for form in attack(GOAL, rng)]
        made_of = json.dumps([made, said], sort_keys=True, default=_plainly)
        return f"{content_id(made_of)[:8]}#{self.seed}" if rng.getstate() != before else content_id(made_of)[:8]


def _plainly(value: object) -> object:
    """A field of an attack that is no JSON: another dataclass by its fields, anything else by its type."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else type(value).__name__


def in_order(examples: Sequence[Example]) -> list[Example]:
    """The order in which a limit takes items: any beginning of it holds the kinds of items in proportion, so a small limit is a fair sample and a
    larger one only adds to it. Items of one ``labels["group"]`` stay together. It depends on the items alone."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.labels.get("group") or f"\x00{example.key}", []).append(example)
    strata: dict[tuple[bool | None, str], list[str]] = {}
    for name, members in groups.items():
        first = members[0]
        strata.setdefault((first.harmful, first.hazard or (first.tags[0] if first.tags else "")), []).append(name)
    placed: list[tuple[float, int, str]] = []
    for names in strata.values():
        drawn = sorted((derive(0, "limit", name), name) for name in names)
        placed += [((rank + 0.5) / len(names), number, name) for rank, (number, name) in enumerate(drawn)]
    return [example for _, _, name in sorted(placed) for example in groups[name]]


def take(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """The first ``limit`` of examples that stand ``in_order``, without a group that would be cut; at least one group."""
    if limit is None or limit >= len(examples):
        return list(examples)
    end = limit
    while end > 0 and _group(examples[end - 1]) == _group(examples[end]):
        end -= 1
    while end < len(examples) and (end == 0 or _group(examples[end - 1]) == _group(examples[end])):
        end += 1
    return list(examples[:end])


def _group(example: Example) -> str:
    return example.labels.get("group") or f"\x00{example.key}"


def check(name: str, examples: Sequence[Example]) -> None:
    """Raises InputError for no items or two of one key."""
    if not examples:
        raise InputError(f"{name}: there is nothing to ask", "raise --limit, or look at the data")
    key, count = Counter(e.key for e in examples).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name}: {count} items have the key {key!r}", "give every item a key of its own")


def questions(examples: Sequence[Example], draw: int, system: str = "", disguise: Disguise | None = None) -> list[Question]:
    """What is asked of each example in one draw. Under an attack an example may have several forms, the same in every draw."""
    found = []
    for example in examples:
        for variant, conversation in enumerate(_forms(example, disguise)):
            found.append(Question(answer_key(example.key, draw, variant), example, with_system(conversation, system)))
    return found


def _forms(example: Example, disguise: Disguise | None) -> list[Conversation]:
    if disguise is None:
        return [example.conversation]
    forms = list(disguise.attack(example, stream(disguise.seed, "attack", disguise.name, example.key)))
    if not forms:
        raise InputError(f"the attack {disguise.name} has no words for the item {example.key!r}", "charter list attacks")
    return forms


def with_system(conversation: Conversation, system: str) -> Conversation:
    """The conversation with ``system`` before it, before the system message that it may have of its own. Raises InputError for plain text."""
    if not system:
        return conversation
    if conversation.is_plain:
        raise InputError("plain text has no system message; this benchmark is not put as a chat", "leave --system out")
    first, *rest = conversation.messages
    if first.role == "system":
        return Conversation(messages=(Message(role="system", content=f"{system}\n\n{first.text}"), *rest))
    return Conversation(messages=(Message(role="system", content=system), first, *rest))
