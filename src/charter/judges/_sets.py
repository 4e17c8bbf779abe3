"""Judge sets: rows that people labelled, and what a judge must answer on them. One YAML file each, in ``sets/`` or of your own.

A set says which files under CHARTER_DATA it reads, which columns hold request, reply and label, and for which judges it was used in development.
Rows without a usable label, and rows that Charter never holds, are dropped and counted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from charter.core.config import Config, parse, read_yaml
from charter.core.errors import DataError, InputError
from charter.core.rows import Conversation, Message
from charter.data.care import REASON, must_drop
from charter.judges._heldout import is_held_out
from charter.judges._pair_rows import Pair, from_transcripts, pair, turned
from charter.judges._set_files import FORM, content_of, found_files, number_of, rows_of, text_of, value_of

FOLDER = Path(__file__).parent / "sets"
Task = Literal["refusal", "harmful_request", "harmful_reply", "jailbreak", "injection", "toxicity", "hazard", "preference"]


class Label(Config):
    """How a row's label is read: a column's words, a number, or always the same. ``full``, ``partial`` and ``none`` name refusal classes."""

    column: str = Field(default="", description="column that holds the label; a trailing * takes the mean of all columns that begin so")
    positive: tuple[str, ...] = Field(default=(), description="values that mean yes")
    negative: tuple[str, ...] = Field(default=(), description="values that mean no")
    partial: tuple[str, ...] = Field(default=(), description="of the positive values, those that mean a partial refusal")
    starts: str = Field(default="", description="yes where the value begins so, no otherwise")
    at_least: float | None = Field(default=None, description="yes where the number is at least this")
    any_of: tuple[str, ...] = Field(default=(), description="yes where one of these columns is 1, no otherwise")
    always: Literal["", "yes", "no"] = Field(default="", description="every row has this label")
    hazards: dict[str, str] = Field(default={}, description="hazard code by value, for sets of hazards")

    @model_validator(mode="after")
    def _said_once(self) -> Label:
        if both := sorted(set(self.positive) & set(self.negative)):
            raise ValueError(f"{both[0]!r} cannot mean yes and no")
        if stray := sorted(set(self.partial) - set(self.positive)):
            raise ValueError(f"{stray[0]!r} is no value of positive")
        return self


class Join(Config):
    """A column whose values are looked up in another file."""

    file: str = Field(description="CSV file under the data folder")
    key: str = Field(description="its column that holds the values")
    text: str = Field(description="its column that holds the text")


class Part(Config):
    """Files of one form."""

    files: tuple[str, ...] = Field(min_length=1, description="paths under the data folder; * and ** stand for any name")
    rows: str = Field(default="", description="JSON: the key that holds the list of rows")
    prompt: str = Field(default="", description="column of the request; dots go into nested values; '.' is the row itself")
    reply: str = Field(default="", description="column of the reply; empty where requests are judged")
    other: str = Field(default="", description="column of a second reply, for the task preference: yes says that reply is the better one")
    transcripts: bool = Field(default=False, description="reply and other are whole conversations, 'Human:' and 'Assistant:' by turns")
    operator: str = Field(default="", description="column of the instructions that the model was set up with, where the rows have them")
    lookup: Join | None = Field(default=None, description="look the request up by its number")
    hazard: str = Field(default="", description="column to report by, such as a hazard or a type")
    group: str = Field(default="", description="column of rows that belong together: intervals are over groups then")
    keep: dict[str, tuple[str, ...]] = Field(default={}, description="only rows whose column has one of these values")
    numbers: Literal["", "even", "odd"] = Field(default="", description="only rows whose id ends in such a number")
    id: str = Field(default="id", description="column of the id, for numbers")
    held_out: bool = Field(default=False, description="only the fifth of requests that the hashed judges never learn from")
    label: Label


class JudgeSet(Config):
    """Rows with the answers of people, and what is asked of a judge."""

    title: str = Field(description="what people call it")
    task: Task = Field(description="the head that must answer")
    labelled_by: str = Field(default="people", description="who labelled it: people, or the name of a judge, for agreement only")
    revision: str = Field(default="", description="version of the data, as its makers name it")
    licence: str = Field(default="", description="licence of the data")
    note: str = Field(default="", description="what a reader of the figures should know")
    development: dict[str, str] = Field(
        default={},
        description="judge -> how it was used while that judge was made; absent means not at all. 'JUDGE with own weights': what of that holds for "
        "weights of a user's own, whose rows were compared with the evaluated sets",
    )
    parts: tuple[Part, ...] = Field(min_length=1, description="the files")

    @model_validator(mode="after")
    def _labels_fit(self) -> JudgeSet:
        for part in self.parts:
            ways = [part.label.positive or part.label.negative, part.label.starts, part.label.at_least is not None, part.label.any_of]
            chosen = sum(map(bool, [*ways, part.label.always, part.label.hazards]))
            if chosen != 1 or ((self.task == "hazard") != bool(part.label.hazards)):
                raise ValueError("a label needs exactly one of positive/negative, starts, at_least, any_of, always, or hazards (for the task hazard)")
            if (self.task == "preference") != bool(part.reply and part.other) or (part.transcripts and not part.other):
                raise ValueError("the task preference compares two columns, reply and other; no other task does")
        return self


class Item(NamedTuple):
    """A conversation to judge and what people said: yes or no, the class (full, partial, none) of a refusal, or the hazard code."""

    key: str
    conversation: Conversation
    positive: bool
    kind: str
    hazard: str
    group: str


class Items(NamedTuple):
    """The rows of a set, what was left out, and the hash of the files they came from."""

    name: str
    judge_set: JudgeSet
    items: tuple[Item, ...]
    dropped: dict[str, int]
    sha256: str


def set_names() -> list[str]:
    """The shipped judge sets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_set(name: str) -> tuple[str, JudgeSet]:
    """A shipped set by name, or a YAML file. Raises InputError naming the shipped ones, or every mistake of the file."""
    path = FOLDER / f"{name}.yaml"
    if name not in set_names():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            raise InputError(f"no judge set is called {name!r}; shipped: {', '.join(set_names())}", "or give a YAML file")
    return path.stem, parse(JudgeSet, read_yaml(path))


def files_of(judge_set: JudgeSet) -> tuple[str, ...]:
    """The files that its rows come from, as the set names them: two sets that share one may share rows."""
    return tuple(sorted({pattern for part in judge_set.parts for pattern in part.files}))


def read_set(name: str, judge_set: JudgeSet, data: Path) -> Items:
    """Every labelled row. Raises DataError naming a file that is missing or a column that it lacks."""
    items: list[Item] = []
    dropped: Counter[str] = Counter()
    digest = hashlib.sha256()
    for part in judge_set.parts:
        table = _lookup(part.lookup, data) if part.lookup else {}
        named: set[str] = set()  # columns of any_of: rows that are not so need not have them, but some must
        for path in found_files(part.files, data):
            content = content_of(path)
            digest.update(content)
            for number, row in enumerate(rows_of(path, content, part.rows), 1):
                named |= {column for column in part.label.any_of if value_of(row, column) is not None}
                made = _item(f"{path.relative_to(data)}:{number}", part, row, table, dropped)
                if made is not None:
                    items.append(made)
        if missing := sorted(set(part.label.any_of) - named):
            raise DataError(f"the judge set {name}: no row of {', '.join(part.files)} has the column {missing[0]!r}", FORM)
    if not items:
        left = f" that can be used: {', '.join(f'{n} {why}' for why, n in sorted(dropped.items()))}" if dropped else ""
        raise DataError(f"the judge set {name} has no rows{left}", FORM)
    return Items(name, judge_set, tuple(items), dict(sorted(dropped.items())), digest.hexdigest()[:16])


def _item(key: str, part: Part, row: Any, table: dict[str, str], dropped: Counter[str]) -> Item | None:
    if any(text_of(row, column, key) not in values for column, values in part.keep.items()):
        return None
    if part.numbers and _last_number(text_of(row, part.id, key), part.id, key) % 2 != (part.numbers == "odd"):
        return None
    prompt = text_of(row, part.prompt, key) if part.prompt else ""
    if part.lookup and prompt not in table:
        dropped["request not found"] += 1
        return None
    prompt = table[prompt] if part.lookup else prompt
    reply = text_of(row, part.reply, key) if part.reply else None
    if part.held_out and not is_held_out(prompt):
        return None
    if part.other:
        return _pair(key, part, row, prompt, reply or "", dropped)
    label = _label(part.label, row, key)
    if label is None:
        dropped["not labelled"] += 1
        return None
    if not prompt.strip() if reply is None else not reply.strip():
        dropped["nothing to judge"] += 1
        return None
    if must_drop(f"{prompt}\n{reply or ''}"):
        dropped[REASON] += 1
        return None
    hazard = text_of(row, part.hazard, key).lower() if part.hazard else ""
    group = text_of(row, part.group, key) if part.group else ""
    operator = text_of(row, part.operator, key) if part.operator else ""
    return Item(key, conversation_of(prompt, reply, operator), *label, hazard, group)


def _pair(key: str, part: Part, row: Any, prompt: str, reply: str, dropped: Counter[str]) -> Item | None:
    """A row of two replies; half of them change places, and the label with them."""
    label, other = _label(part.label, row, key), text_of(row, part.other, key)
    operator = text_of(row, part.operator, key) if part.operator else ""
    found = from_transcripts(reply, other) if part.transcripts else Pair(conversation_of(prompt, None, operator), reply, other)
    why = "not labelled" if label is None else "the two differ before their last replies" if found is None else ""
    if found is not None and not why:
        shown = not found.before.prompt.strip() or not found.one.strip() or not found.other.strip()
        why = (
            "nothing to judge"
            if shown
            else REASON
            if must_drop("\n".join([*(m.text for m in found.before.messages), found.one, found.other]))
            else ""
        )
    if why or found is None or label is None:
        dropped[why] += 1
        return None
    hazard, group = (text_of(row, column, key) if column else "" for column in (part.hazard, part.group))
    replies = (found.other, found.one) if turned(key) else (found.one, found.other)
    return Item(key, pair(found.before, *replies), label[0] != turned(key), "", hazard.lower(), group)


def conversation_of(prompt: str | None, reply: str | None, operator: str = "") -> Conversation:
    """A request alone, a request with its reply, or a reply alone; before it what the operator told the model, if anything."""
    said = (("system", operator or None), ("user", prompt), ("assistant", reply))
    return Conversation(messages=tuple(Message(role=role, content=text) for role, text in said if text is not None))  # type: ignore[arg-type]


def _last_number(text: str, column: str, key: str) -> int:
    found = re.findall(r"\d+", text)
    if not found:
        raise DataError(f"{key}: the column {column!r} holds no number, and the set is of odd or even ones", FORM)
    return int(found[-1][-1])


def _label(label: Label, row: Any, key: str) -> tuple[bool, str] | None:
    """(yes or no, class); None for a row that has none."""
    if label.always:
        return label.always == "yes", ""
    if label.any_of:
        return any(number_of(value_of(row, column)) == 1 for column in label.any_of), ""
    if label.column.endswith("*") and not isinstance(row, dict):
        return None
    if label.column.endswith("*"):
        numbers = [number_of(v) for k, v in row.items() if k and k.startswith(label.column[:-1])]
        known = [n for n in numbers if n is not None]
        return (sum(known) / len(known) >= (label.at_least or 0.0), "") if known else None
    value = text_of(row, label.column, key)
    if label.hazards:
        return (True, label.hazards[value]) if value in label.hazards else None
    if label.starts:
        return (value.startswith(label.starts), "") if value else None
    if label.at_least is not None:
        number = number_of(value)
        return None if number is None else (number >= label.at_least, "")
    if value in label.positive:
        return True, "partial" if value in label.partial else "full"
    return (False, "none") if value in label.negative else None


def _lookup(join: Join, data: Path) -> dict[str, str]:
    path = data / join.file
    return {text_of(row, join.key, str(path)): text_of(row, join.text, str(path)) for row in rows_of(path, content_of(path), "")}
