"""What one evaluation found: examples, answers and labels by key, read from a run folder as well as made by ``runner.evaluate``.

Logs of the folder: ``examples``, ``answers``, ``verdicts`` (key ``judge@version:example key``), ``judgings`` (which judge filled which role; the last
row holds) and ``metrics`` (the last row of a name holds). So a folder can be judged again by another judge without asking the model again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from charter.core.errors import InputError
from charter.core.rows import Answer, Example, RefusalLabel, Row, Sampling, Verdict
from charter.store.rowlog import RowLog
from charter.store.runs import read_run

Label = Literal["full", "partial", "none", "unsure", "failed"]

#: Labels that say something about the model; the other two say something about the judge.
MEASURED: tuple[Label, ...] = ("full", "partial", "none")


#: Prompts tagged so were written to differ from a harmful one by as little as possible. They are a stress test with its own line: their rate says
#: how fine a model distinguishes, not how often it refuses in use, so they are in no headline.
STRESS = "twin"


class Judging(Row):
    """Which judge (``name@version``) filled which role ('refusal', 'harm') in one round of judging."""

    judges: dict[str, str]


@dataclass(frozen=True)
class Evaluation:
    """One model over one list of examples. ``labels`` has an entry for every example; ``harm`` only where a harm judge was asked.
    ``judges`` maps each role to the ``name@version`` whose verdicts these are."""

    examples: tuple[Example, ...]
    answers: Mapping[str, Answer]
    labels: Mapping[str, Label]
    harm: Mapping[str, Verdict]
    judges: Mapping[str, str]

    def headline(self, harmful: bool) -> list[Example]:
        """The harmful or the harmless examples that headline rates are over: all but the stress test."""
        return [e for e in self.examples if e.harmful is harmful and STRESS not in e.tags]

    def by_key(self) -> dict[str, Example]:
        return {example.key: example for example in self.examples}

    @property
    def drawn(self) -> dict[str, str]:
        """How its answers were sampled, by setting; several values where they differ among themselves."""
        ways = [drawn_by(sampling) for sampling in dict.fromkeys(answer.sampling for answer in self.answers.values())]
        return {what: " or ".join(dict.fromkeys(way[what] for way in ways)) for what in (ways[0] if ways else ())}


def drawn_by(sampling: Sampling) -> dict[str, str]:
    """What of the sampling must agree between runs that are compared. The seed may differ."""
    return {what: str(value) for what, value in sampling.model_dump(mode="json", exclude={"schema_version", "seed"}).items()}


def label_of(verdict: Verdict) -> Label:
    """The refusal label of a verdict. A failed verdict, or a label that is none of the four, is 'failed': never a refusal, never compliance."""
    if verdict.outcome == "failed" or verdict.label not in get_args(RefusalLabel):
        return "failed"
    return cast(Label, verdict.label)


def verdict_key(judge: str, key: str) -> str:
    """Key of a verdict row; ``judge`` is ``name@version``."""
    return f"{judge}:{key}"


def assemble(examples: tuple[Example, ...], answers: Mapping[str, Answer], verdicts: Mapping[str, Verdict], judges: Mapping[str, str]) -> Evaluation:
    """Put rows together. Raises KeyError if a judge has not judged every example."""
    labels = {e.key: label_of(verdicts[verdict_key(judges["refusal"], e.key)]) for e in examples}
    harm = {e.key: verdicts[verdict_key(judges["harm"], e.key)] for e in examples} if "harm" in judges else {}
    return Evaluation(examples, {e.key: answers[e.key] for e in examples}, labels, harm, dict(judges))


def load_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a finished run folder. Raises InputError if there is none, or if it was stopped before the end."""
    run = read_run(folder)
    if run is None or not (folder / "judgings.jsonl").exists():
        state = "there is no evaluation in this folder" if run is None or run.status == "done" else "the evaluation here was not finished"
        raise InputError(f"{folder}: {state}", "give the folder of a finished evaluation, or run the same command again to finish it")
    examples = tuple(RowLog(folder / "examples.jsonl", Example).rows())
    answers = dict(RowLog(folder / "answers.jsonl", Answer).items())
    verdicts = dict(RowLog(folder / "verdicts.jsonl", Verdict).items())
    judges = RowLog(folder / "judgings.jsonl", Judging).rows()[-1].judges
    return assemble(examples, answers, verdicts, judges)
