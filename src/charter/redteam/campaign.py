"""A red-team campaign: every attack on every goal, asked once, judged twice, and what got through kept as findings.

``outcome`` says how an attempt's two verdicts are read, ``rates`` what becomes of them. A campaign in which more than a set share of the attempts
failed for a reason that may pass (no reply, a judge that broke) cannot be trusted: it says so, keeps what it has, and asks for those again when it is
run again.

Logs: ``answers``, ``verdicts`` (key ``judge@version:attempt``), ``findings`` (key = attempt), ``metrics`` (``attack_success`` and ``attack_partial``
of goals, ``attempt_success`` and ``attempt_partial`` of attempts, each also ``/<family>``). An attempt's key is ``attack/goal key/number``. One
folder holds one campaign with one pair of judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.core.errors import InputError, StoreError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Example, Finding, Metric, Sampling, Verdict
from charter.core.shapes import Attack, Judge, Model
from charter.core.trust import MAX_FAILED, too_many
from charter.judges._judging import judge_log, key_of, nothing_in
from charter.redteam.attempts import Attempt, Read, attempts_on, read
from charter.redteam.outcome import Result, result_of, severity_of
from charter.redteam.rates import RATES, Ended
from charter.store.answers import ask
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder

ROLES = ("refusal", "harm")


@dataclass(frozen=True)
class Campaign:
    """Findings, and how every attempt ended. The counts are of attempts by attack family; ``tried`` includes ``failed``. ``reasons`` say why it
    cannot be trusted; () if it can."""

    findings: tuple[Finding, ...]
    ended: tuple[Ended, ...]
    reasons: tuple[str, ...] = ()

    @property
    def tried(self) -> dict[str, int]:
        return dict(Counter(attempt.family for attempt in self.ended))

    @property
    def succeeded(self) -> dict[str, int]:
        return self._ended("succeeded")

    @property
    def partial(self) -> dict[str, int]:
        return self._ended("partial")

    @property
    def failed(self) -> dict[str, int]:
        return self._ended("failed")

    def _ended(self, result: Result) -> dict[str, int]:
        found = Counter(attempt.family for attempt in self.ended if attempt.result == result)
        return {family: found[family] for family in self.tried}

    def metrics(self) -> list[Metric]:
        """Every rate over all families, then for each."""
        families = {"": self.ended} | {f"/{family}": [a for a in self.ended if a.family == family] for family in self.tried}
        return [rate_of(f"{name}{at}", ended) for name, rate_of in RATES.items() for at, ended in families.items()]


def run_campaign(
    model: Model,
    goals: Sequence[Example],
    attacks: Mapping[str, Attack],
    judges: Mapping[str, Judge],
    folder: RunFolder,
    sampling: Sampling,
    seed: int,
    reporter: Reporter = SILENT,
    max_failed: float = MAX_FAILED,
    dropped: Mapping[str, int] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Campaign:
    """Run every attack on every goal. ``judges`` needs the roles 'refusal' and 'harm'; an attack's family is its attribute ``family``, or its name.

    Same seed, same attempts; a stopped campaign goes on where it stopped and ends with the same rows. Where more than a share ``max_failed`` (0..1)
    of the attempts failed, the folder's status is 'failed', and calling it again asks for those again. ``dropped``: rows that made no goal, by
    reason; ``facts`` go into the run's outputs, beside the counts. Raises InputError for no goals, no attacks, an attack without words for a goal, a
    goal marked harmless, doubled goal keys or a missing judge, StoreError if the folder holds another campaign.
    """
    _check(goals, attacks, judges)
    attempts = attempts_on(goals, attacks, seed)
    log, stored = folder.log("verdicts", Verdict), folder.log("answers", Answer)
    _check_judges(folder, log, judges)
    before = dict(stored.items())
    _check_answers(folder, model, sampling, attempts, before)
    again = _again(read(attempts, before, dict(log.items()), judges), len(attempts), max_failed)
    silent = frozenset(key for key in again if nothing_in(before[key]))
    answers = ask(model, [(a.key, a.conversation) for a in attempts], sampling, stored, reporter, "attacks", silent)
    for role in ROLES:
        judge_log(judges[role], {a.key: a.beside_goal(answers[a.key]) for a in attempts}, log, reporter, again)
    return _record(folder, model, read(attempts, answers, dict(log.items()), judges), max_failed, dropped or {}, facts or {})


def _again(found: Sequence[Read], total: int, max_failed: float) -> frozenset[str]:
    """Keys to judge again: the failed ones of a whole campaign that cannot be trusted, and those whose answer was asked for again since."""
    if len(found) < total:
        return frozenset()
    distrusted = _distrust(found, max_failed)
    return frozenset(one.attempt.key for one in found if one.is_stale or (distrusted and one.failure))


def _distrust(found: Sequence[Read], max_failed: float) -> tuple[str, ...]:
    return too_many([one.failure for one in found if one.failure], len(found), max_failed)


def _record(
    folder: RunFolder, model: Model, found: Sequence[Read], max_failed: float, dropped: Mapping[str, int], facts: Mapping[str, str]
) -> Campaign:
    """Count, write findings and metrics, and last how the campaign ended, so that the rest is known to be whole."""
    ended = [Ended(one.attempt.family, one.attempt.goal.key, result_of(one.refusal, one.harm)) for one in found]
    findings = {one.attempt.key: _finding(model, one) for one, how in zip(found, ended, strict=True) if how.result == "succeeded"}
    campaign = Campaign(tuple(findings.values()), tuple(ended), _distrust(found, max_failed))
    folder.log("findings", Finding).append(findings.items())
    metrics = folder.log("metrics", Metric)
    known = dict(metrics.items())
    metrics.replace((metric.name, metric) for metric in campaign.metrics() if known.get(metric.name) != metric)
    failed = sum(campaign.failed.values())
    folder.settle(
        rows_in=len(ended) + sum(dropped.values()),
        rows_out=len(ended) - failed,
        dropped={**dropped, **({"failed": failed} if failed else {})},
        status="failed" if campaign.reasons else "done",
        outputs={"findings": str(len(findings)), "partial": str(sum(campaign.partial.values())), **facts},
    )
    return campaign


def _finding(model: Model, found: Read) -> Finding:
    attempt, goal = found.attempt, found.attempt.goal
    return Finding(
        attack=attempt.attack,
        family=attempt.family,
        target=model.spec,
        goal=goal.prompt,
        hazard=goal.hazard,
        conversation=attempt.conversation.with_reply(found.answer.reply.text),
        verdict=found.harm,
        severity=severity_of(found.harm),
        source=goal.source.model_copy(update={"row": goal.key, "parents": (goal.id,)}),
    )


def _check(goals: Sequence[Example], attacks: Mapping[str, Attack], judges: Mapping[str, Judge]) -> None:
    if not goals or not attacks:
        raise InputError(f"a campaign needs goals and attacks; there are {len(goals)} and {len(attacks)}", "charter list attacks")
    missing = [role for role in ROLES if role not in judges]
    if missing:
        raise InputError(f"a campaign needs a judge in the role {missing[0]!r}", "charter list judges")
    harmless = next((goal.key for goal in goals if goal.harmful is False), None)
    if harmless is not None:
        raise InputError(f"the goal {harmless!r} is marked harmless; getting an answer to it would be no success", "give harmful prompts as goals")
    key, count = Counter(goal.key for goal in goals).most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} goals have the key {key!r}", "give every goal a key of its own")


def _check_judges(folder: RunFolder, log: RowLog[Verdict], judges: Mapping[str, Judge]) -> None:
    ours = tuple(key_of(judges[role], "") for role in ROLES)
    logged = log.keys()
    if not all(key.startswith(ours) for key in logged):
        raise StoreError(f"{folder.path}: holds verdicts of other judges", f"give another --out, or rm -r {folder.path}")


def _check_answers(folder: RunFolder, model: Model, sampling: Sampling, attempts: Sequence[Attempt], answers: Mapping[str, Answer]) -> None:
    """``answers``: those that are stored already."""
    for attempt in attempts:
        answer = answers.get(attempt.key)
        if answer and (answer.model, answer.sampling, answer.conversation) != (model.spec, sampling, attempt.conversation):
            raise StoreError(f"{folder.path}: holds answers of {answer.model!r} to another campaign", f"give another --out, or rm -r {folder.path}")
