"""One plugin put to the contract of its shelf, as the author of another package's plugin wants to know it before anybody uses it.

Nothing is fetched and no model is asked: a plugin that cannot be built from its defaults (it needs a model, a key, a setting) is checked as far as
its file goes, and that is said.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import ValidationError

from charter.core.contract import untidy
from charter.core.errors import CharterError
from charter.core.registry import find
from charter.core.rows import Conversation, Example, Source, Verdict
from charter.core.seeds import stream
from charter.evaluate.benchmark import Benchmark
from charter.guard._build import COSTS
from charter.guard._weigh import is_verdict
from charter.guard.policy import STAGES

PLAIN = Conversation.ask("How do I prune roses?")
ANSWERED = PLAIN.with_reply("Cut above a bud, in late winter.")


class Checked(NamedTuple):
    """``faults`` must be mended; ``notes`` say what was not looked at, and why."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]


def check_plugin(shelf: str, name: str) -> Checked:
    """What is wrong with a plugin. Raises InputError, as ``find`` does, for one that is not there or that nobody could use."""
    module = find(shelf, name)
    faults = [*untidy(module), *_file_faults(shelf, module)]
    if shelf == "models":
        return Checked(tuple(faults), ("not built: a backend needs the name of a model",))
    try:
        built = module.build(module.Config.model_validate(getattr(module, "EXAMPLE", {})))
    except ValidationError as error:
        needed = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        return Checked(tuple(faults), (f"not built: it has no defaults for: {needed or 'its settings'} (a rail may give an EXAMPLE)",))
    except CharterError as error:
        return Checked(tuple(faults), (f"not built: {error.message}",))
    except Exception as error:  # an author's mistake of any kind
        return Checked((*faults, f"build raises {type(error).__name__}: {error}"), ())
    if shelf in _BEHAVIOUR:
        try:
            faults += _BEHAVIOUR[shelf](module, name, built)
        except Exception as error:  # the same
            faults.append(f"used once on a harmless text, it raises {type(error).__name__}: {error}")
    return Checked(tuple(faults), ())


def _file_faults(shelf: str, module: ModuleType) -> Iterator[str]:
    parameters = inspect.signature(module.build).parameters.values()
    if shelf == "models":
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters) or not parameters:
            yield "build takes no argument and **options"
    elif len([p for p in parameters if p.default is inspect.Parameter.empty]) != 1:
        yield "build takes something other than one Config"
    if shelf == "rails":
        if getattr(module, "COST", "local") not in COSTS:
            yield f"COST is {module.COST!r}; known: {', '.join(COSTS)}"
        if not set(getattr(module, "STAGES", STAGES)) <= set(STAGES):
            yield f"STAGES is {module.STAGES!r}; known: {', '.join(STAGES)}"


def _attack(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    goal = Example(key="goal", conversation=PLAIN, harmful=True, source=Source(dataset="check"))
    first, again = ([*built(goal, stream(0, "attack", name))] for _ in range(2))
    if not first or not all(isinstance(sent, Conversation) for sent in first):
        yield "it yields no conversation"
        return
    if first != again:
        yield "it does not send the same twice: take every random choice from rng"
    if any(sent.messages[-1].role != "user" for sent in first):
        yield "a conversation does not end with the user's message"


def _named(name: str, built: Any) -> Iterator[str]:
    if getattr(built, "name", None) != name:
        yield f"its name is {getattr(built, 'name', None)!r}, not {name!r}"
    if not isinstance(getattr(built, "version", None), str) or not built.version:
        yield "it has no version (a text that changes when its verdicts do)"


def _judge(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    yield from _named(name, built)
    if callable(built) and len(inspect.signature(built).parameters) == 1:
        if not isinstance(built(ANSWERED), Verdict):
            yield "it returns no Verdict"
        if not isinstance(built(PLAIN.with_reply("")), Verdict):
            yield "it returns no Verdict on an empty reply"
    elif not callable(built):
        yield "what build returns cannot be called"


def _rail(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    yield from _named(name, built)
    for stage in getattr(module, "STAGES", STAGES):
        if not is_verdict(built(PLAIN if stage == "input" else ANSWERED, stage)):
            yield f"it returns no Verdict with a score from 0 to 1, or none, on the {stage}"


def _benchmark(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    if not isinstance(built, Benchmark):
        wanted = ("ask", "roles", "examples", "options", "verdict", "metrics", "gold")
        yield f"it lacks: {', '.join(part for part in wanted if not hasattr(built, part))}"
    elif {item.right for item in built.gold()} != {True, False}:
        yield "gold() needs right answers and wrong ones"


def _called(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    if not callable(built):
        yield "what build returns cannot be called"


def _source(module: ModuleType, name: str, built: Any) -> Iterator[str]:
    if not all(isinstance(row, Example) for row in built):
        yield "build returns something other than Examples"


_BEHAVIOUR: dict[str, Callable[[ModuleType, str, Any], Iterator[str]]] = {
    "attacks": _attack,
    "judges": _judge,
    "rails": _rail,
    "benchmarks": _benchmark,
    "trainers": _called,
    "sources": _source,
}
