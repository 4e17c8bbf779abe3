"""From what was typed after ``charter evaluate`` to what will be run: names, settings, data, judges, replies and folders, all checked first.

Folders are ``OUT/<model>/<benchmark>``; each is a run of its own, so that any of them resumes, and two of them compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from charter.core.errors import CharterError, DataError, InputError, MissingPartError
from charter.core.registry import find
from charter.core.rows import Example, content_id
from charter.core.shapes import Judge
from charter.evaluate.estimate import Price
from charter.evaluate.given import Replies, read_replies
from charter.evaluate.judged import PREFIX as JUDGE_TARGET
from charter.evaluate.plan import Disguise, questions
from charter.evaluate.run import selected
from charter.evaluate.shelved import MAX_FAILED, Options, Shelved, shelve
from charter.evaluate.suites import Entry, read_suite
from charter.judges._card_files import card_folders, find_card
from charter.judges._sets import set_names
from charter.models._identity import identity
from charter.models._written import short
from charter.recipes.attacks import build_attack, name_of, read_entry, settings_of
from charter.recipes.roles import Roles, check_labels, ids_of


@dataclass(frozen=True)
class Request:
    """What ``charter evaluate MODEL... --suite`` was given. ``judges``: ``NAME``, ``human:FILE``, or either after ``ROLE=``. ``cards``: a folder of
    judge cards; None: that of ``charter judges measure``, where it is."""

    models: tuple[str, ...]
    suite: str
    limit: int | None = None
    seeds: int | None = None
    seed: int = 0
    attacks: tuple[str, ...] = ()
    system: str = ""
    replies: Path | None = None
    judges: tuple[str, ...] = ()
    out: Path | None = None
    max_failed: float = MAX_FAILED
    price: Price | None = None
    cards: Path | None = None


@dataclass(frozen=True)
class Planned:
    """One benchmark under one attack, ready to be asked of any model."""

    shelved: Shelved
    examples: tuple[Example, ...]
    options: Options
    judges: dict[str, Judge]

    @property
    def folder(self) -> str:
        attack = f"+{re.sub(r'[^A-Za-z0-9._=-]+', '-', self.options.disguise.label)}" if self.options.disguise else ""
        settings = f"-{content_id(self.shelved.settings)[:8]}" if self.shelved.settings else ""
        return f"{self.shelved.name}{attack}{settings}"


class Target(NamedTuple):
    """A model, or replies made elsewhere. ``name`` is what the user typed, ``identity`` also says which weights or which file."""

    name: str
    identity: str
    folder: Path
    replies: Replies | None = None


@dataclass
class Plan:
    """What will be done. ``left_out``: benchmarks that an attack does not suit; ``problems``: what cannot be measured here, or could not."""

    targets: list[Target]
    runs: list[Planned]
    estimates: bool
    left_out: list[str]
    problems: list[str]


def plan(request: Request) -> Plan:
    """Check everything, ask nothing. A benchmark whose data or whose own judge is not here is a problem, and the others go on; a mistake in what was
    typed, or nothing that can be measured, raises InputError, DataError or MissingPartError."""
    suite, folders = read_suite(request.suite), card_folders(request.cards)
    if not request.models:
        raise InputError("there is no model to evaluate", "charter evaluate embedded --suite quick")
    disguises: list[Disguise | None] = [_disguise(name, request.seed) for name in request.attacks]
    problems: list[CharterError] = []
    shelved = [(entry, _shelve(entry, request)) for entry in suite.benchmarks]
    _check_judges(request, [one for _, one in shelved])
    read = _read_all(shelved, problems)
    roles = Roles(request.judges, [(one, items) for _, one, items in read]) if read else None
    runs: list[Planned] = []
    left_out: list[str] = []
    for entry, one, items in read:
        for disguise in disguises or [None]:
            if disguise is not None and not any(item.harmful for item in items):
                left_out.append(f"{one.name}: has no harmful item, and an attack needs a goal")
                continue
            seeds = request.seeds or entry.seeds
            options = Options(_least(request.limit, entry.limit), seeds, request.seed, request.system, disguise, request.max_failed, folders)
            chosen = selected(one, options, items)
            try:
                runs.append(Planned(one, items, options, roles.of(one, entry) if roles else {}))
                check_labels(runs[-1].judges, one, options, chosen, request.replies is not None)
                _one_form(request, one, options, chosen)
            except MissingPartError as error:
                problems.append(error)
                break
    if not runs and problems:
        raise problems[0] if len(problems) == 1 else DataError("\n".join(map(_line, problems)), "get what is missing, or name other benchmarks")
    if not runs:
        raise InputError(f"there is nothing to run: {'; '.join(left_out)}", "leave --attack out")
    _check_folders(runs)
    for judge in {id(judge): judge for one in runs for judge in one.judges.values()}.values():
        find_card(judge, folders)  # a card that cannot be read is told before anything is asked
    return Plan(_targets(request, runs), runs, suite.estimate, left_out, [_line(problem) for problem in problems])


def _line(problem: CharterError) -> str:
    return f"{problem.message}\n    {problem.hint}" if problem.hint else problem.message


def _shelve(entry: Entry, request: Request) -> Shelved:
    shelved = shelve(entry.benchmark, find("benchmarks", entry.benchmark), entry.config(request.suite))
    if request.replies is not None and shelved.benchmark.ask.mode == "score":
        raise InputError(
            f"{entry.benchmark} weighs options, and a file of replies has no likelihoods",
            "give the form that is answered in text, in a suite's settings",
        )
    return shelved


def _check_judges(request: Request, shelved: Sequence[Shelved]) -> None:
    """A benchmark of models reads replies, and a judge's is its verdict: raises InputError rather than measure the JSON of verdicts."""
    judge = next((name for name in request.models if name.startswith(JUDGE_TARGET)), "").removeprefix(JUDGE_TARGET)
    wrong = next((one.name for one in shelved if getattr(one.benchmark, "measures", "models") != "judges"), "")
    if judge and wrong and request.replies is None:
        about = next((f" --set {name}" for name in set_names() if name.startswith(f"{wrong}_")), "")
        raise InputError(f"{wrong} reads replies of models, and judge:{judge} gives verdicts, no replies", f"charter judges measure {judge}{about}")


def _read_all(shelved: Sequence[tuple[Entry, Shelved]], problems: list[CharterError]) -> list[tuple[Entry, Shelved, tuple[Example, ...]]]:
    found = []
    for entry, one in shelved:
        try:
            found.append((entry, one, tuple(one.benchmark.examples())))
        except DataError as error:
            problems.append(error)
    return found


def _one_form(request: Request, shelved: Shelved, options: Options, items: Sequence[Example]) -> None:
    """Raises InputError where one given reply would stand for several forms of an item: a row of replies does not say which it is to."""
    if request.replies is not None and options.disguise is not None and len(questions(items, 0, "", options.disguise)) > len(items):
        raise InputError(
            f"{shelved.name}: the attack {options.disguise.label} puts items in several forms, and a row of --replies names none of them",
            "leave --attack out, or evaluate the model itself under the attack",
        )


def _disguise(text: str, seed: int) -> Disguise:
    entry = read_entry(text)
    settings = ":".join(f"{key}={value}" for key, value in sorted(settings_of(entry).items()))
    return Disguise(name_of(entry), build_attack(entry), seed, settings)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _check_folders(runs: Sequence[Planned]) -> None:
    folders = [one.folder for one in runs]
    doubled = next((name for name in folders if folders.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"{doubled} is asked for twice", "name each benchmark once, or give them other settings")


def _targets(request: Request, runs: Sequence[Planned]) -> list[Target]:
    root = request.out or Path("runs") / "evaluate"
    if request.replies is not None and len(request.models) > 1:
        raise InputError(f"--replies are those of one model, and {len(request.models)} are named", "run it once for each file")
    replies = None
    if request.replies is not None:
        replies = read_replies(request.models[0], request.replies, ids_of((one.shelved, one.examples) for one in runs))
    names = [re.sub(r"[^A-Za-z0-9.-]+", "-", spec).strip("-.")[:60] or "model" for spec in map(short, request.models)]
    targets = []
    for spec, name in zip(request.models, names, strict=True):
        own = f"{spec}#{replies.digest}" if replies else _identity(spec)
        question = [own, request.system, request.seed] if request.out is None else [own] if names.count(name) > 1 else []
        targets.append(Target(spec, own, root / (f"{name}-{content_id(question)[:8]}" if question else name), replies))
    if len({target.folder for target in targets}) < len(targets):
        raise InputError("a model is named twice", "name each model once")
    return targets


def _identity(spec: str) -> str:
    """A judge as target is named with its version, a local checkpoint with its weights."""
    return spec if spec.startswith(JUDGE_TARGET) else identity(spec)
