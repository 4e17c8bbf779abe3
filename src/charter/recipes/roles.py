"""Who judges what in an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from charter.core.errors import InputError, MissingPartError, ModelError
from charter.core.rows import Example
from charter.core.shapes import Judge
from charter.evaluate.given import Ids
from charter.evaluate.labelled import Labels, read_labels
from charter.evaluate.plan import questions
from charter.evaluate.shelved import Options, Shelved, draws
from charter.evaluate.suites import Entry
from charter.recipes.context import build_judge

PEOPLE = "human:"


def ids_of(items: Iterable[tuple[Shelved, Sequence[Example]]]) -> Ids:
    """Every form of every item's id."""
    ids = Ids()
    for shelved, examples in items:
        ids.add(shelved.name, shelved.benchmark, examples)
    return ids


class Roles:
    """The suite's judges, or the benchmarks' own, unless ``given`` names another: ``NAME``, ``human:FILE``, or either after ``ROLE=``. Raises
    InputError for a given one that is wrong."""

    def __init__(self, given: Sequence[str], items: Sequence[tuple[Shelved, Sequence[Example]]]) -> None:
        self._built: dict[str, Judge] = {}
        self._ids = ids_of(items) if any(PEOPLE in text for text in given) else Ids()
        self._roles = {role for shelved, _ in items for role in shelved.benchmark.roles}
        self._given = [self._split(text) for text in given]
        for _, judge in self._given:
            self._judge(judge)

    def _split(self, text: str) -> tuple[str, str]:
        """(role, judge); role '' = the only one of a benchmark, or the one of the judge's own name."""
        role, sign, judge = text.partition("=")
        if sign and role.isidentifier():
            if role not in self._roles:
                raise InputError(f"--judge {text!r}: no benchmark here has a role {role!r}; roles: {', '.join(sorted(self._roles))}", "--judge NAME")
            return role, judge
        return "", text

    def of(self, shelved: Shelved, entry: Entry) -> dict[str, Judge]:
        """A judge for every role. Raises MissingPartError for a default one that is not to be had here, InputError where it is not clear which role
        is meant."""
        roles = shelved.benchmark.roles
        names = {**roles, **entry.judges}
        unknown = sorted(set(entry.judges) - set(roles))
        if unknown:
            raise InputError(f"{shelved.name}: has no role {unknown[0]!r}; roles: {', '.join(roles) or 'none'}", "charter list benchmarks")
        for role, judge in self._given:
            filled = role if role in roles else self._only_role(shelved, judge) if not role else None
            if filled is not None:
                names[filled] = judge
        return {role: self._build(name, shelved.name, role) for role, name in names.items()}

    def _only_role(self, shelved: Shelved, judge: str) -> str | None:
        roles = list(shelved.benchmark.roles)
        if len(roles) <= 1:
            return roles[0] if roles else None
        if judge in roles:
            return judge
        raise InputError(f"{shelved.name} has the roles {', '.join(roles)}: which of them is --judge {judge}?", f"--judge {roles[0]}={judge}")

    def _build(self, name: str, benchmark: str, role: str) -> Judge:
        try:
            judge = self._judge(name)
        except (InputError, ModelError, MissingPartError) as error:
            hint = error.hint or f"--judge {role}=NAME; charter list judges"
            raise MissingPartError(f"{benchmark}: the judge of {role}: {error.message}", hint) from None
        return judge.of(benchmark) if isinstance(judge, Labels) else judge

    def _judge(self, name: str) -> Judge:
        if name not in self._built:
            self._built[name] = read_labels(Path(name.removeprefix(PEOPLE)), self._ids) if name.startswith(PEOPLE) else build_judge(name)
        return self._built[name]


def check_labels(judges: Mapping[str, Judge], shelved: Shelved, options: Options, items: Sequence[Example], given: bool) -> None:
    """People labelled replies that they had read: raises InputError where no file of these is ``given``, or where a label that names no reply would
    serve several of an item's."""
    for labels in (judge for judge in judges.values() if isinstance(judge, Labels)):
        if not given:
            raise InputError(
                f"{shelved.name}: people's labels are of replies that they read, and there is no file of these",
                "name it beside the labels: charter evaluate MODEL --suite SUITE --replies FILE --judge human:FILE",
            )
        many = draws(shelved.benchmark, options) * len(questions(items, 0, "", options.disguise)) > len(items)
        if many and (count := labels.unnamed(items)):
            raise InputError(
                f"{shelved.name}: items have several replies, and the labels of {count} of them name none, so they would serve all of them",
                'let every row of the labels name its reply: {"id": "...", "label": "full", "reply": "..."}',
            )
