"""From the entries of a policy to rails that can be asked. Everything that could be wrong with one is told here, before the first check."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from charter.core import registry
from charter.core.config import Document, parse
from charter.core.errors import InputError
from charter.core.rows import Conversation, Verdict
from charter.guard.policy import STAGES, GuardPolicy, RailEntry, Stage
from charter.policy.charter import Charter
from charter.policy.wording import suggestion

RailCall = Callable[[Conversation, Stage], Verdict]
#: ``COST`` of a rail's module, cheapest first, and the milliseconds one check has by default: rules; a model on this machine; a model elsewhere.
TIMEOUT_MS = {"instant": 500, "local": 3_000, "remote": 20_000}
COSTS = tuple(TIMEOUT_MS)


class Built(NamedTuple):
    """A rail, ready. ``tier`` is its place in ``COSTS``; ``longest`` the characters of the longest thing it finds, 0 if it finds no spans;
    ``shares`` (of the rail, else ``SHARES`` of its module) what it waits for together with other rails of the same cost: they run in one thread, one
    after another. '': a thread of its own."""

    label: str
    entry: RailEntry
    call: RailCall
    tier: int
    timeout_s: float
    longest: int
    fingerprint: str
    shares: str = ""


def build_rails(policy: GuardPolicy, charter: Charter, given: Mapping[str, RailCall]) -> dict[Stage, tuple[Built, ...]]:
    """The rails of both stages, cheapest first. Raises InputError for a setting, stage, cost or hazard that is wrong, MissingPartError and ModelError
    where a rail cannot be had."""
    known = [hazard.id for hazard in charter.hazards]
    for name in policy.hazards:
        if name not in known:
            raise InputError(f"guard {policy.name!r}: hazards: the charter has no hazard {name!r}; {suggestion(name, known)}", "docs/guard.md")
    shared: dict[str, RailCall] = {}
    return {stage: tuple(sorted((_built(e, stage, given, shared) for e in policy.rails(stage)), key=lambda b: b.tier)) for stage in STAGES}


def _built(entry: RailEntry, stage: Stage, given: Mapping[str, RailCall], shared: dict[str, RailCall]) -> Built:
    where = f"{stage}.{entry.label}"
    module: ModuleType | None = None
    if entry.label in given:
        call = given[entry.label]
    else:
        module = registry.find("rails", entry.rail)
        fingerprint = json.dumps([entry.rail, entry.settings], sort_keys=True, default=str)
        if fingerprint not in shared:  # the same rail with the same settings on both stages is one object
            shared[fingerprint] = _from_shelf(module, entry.settings, where)
        call = shared[fingerprint]
    stages: tuple[Stage, ...] = getattr(module, "STAGES", STAGES)
    if stage not in stages:
        raise InputError(f"{where}: the rail {entry.rail!r} does not read the {stage}; it is for: {', '.join(stages)}", "charter list rails")
    cost = getattr(call, "cost", None) or getattr(module, "COST", "local")
    if cost not in COSTS:
        raise InputError(f"{where}: the rail {entry.rail!r} has the cost {cost!r}; known: {', '.join(COSTS)}")
    if entry.action == "mask" and module is not None and not getattr(module, "MASKS", False):
        raise InputError(
            f"{where}: the rail {entry.rail!r} finds no places in a text, so it cannot mask", "use another action: block, escalate, flag"
        )
    timeout_ms = entry.timeout_ms or TIMEOUT_MS[cost]
    version = getattr(call, "version", "")
    key = json.dumps([entry.rail if module else entry.label, entry.settings, str(version), stage], sort_keys=True, default=str)
    shares = "" if module is None else str(getattr(call, "shares", getattr(module, "SHARES", "")))
    return Built(entry.label, entry, call, COSTS.index(cost), timeout_ms / 1000, int(getattr(call, "longest", 0)), key, shares)


def _from_shelf(module: ModuleType, settings: dict[str, Any], where: str) -> RailCall:
    config = parse(module.Config, Document(f"{where}.settings", settings, {}, ()), "docs/guard.md")
    call: RailCall = module.build(config)
    if not callable(call):
        raise InputError(f"{where}: the rail builds something that cannot be called")
    return call
