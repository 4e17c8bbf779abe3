"""What one run of one benchmark on one model left behind, read from its folder.

Logs of the folder: ``examples`` (in the order in which a limit takes them), ``answers`` (key = ``answer_key``), ``verdicts`` (key
``judging:answer key``), ``metrics`` (key ``measurement:metric name``) and ``measurements`` (one row each time it was counted; the last holds). More
items, more seeds or another judge add rows to the same folder; another model, system prompt, attack or setting needs another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from charter.core.errors import InputError
from charter.core.rows import Answer, Example, Metric, Row, Sampling, Verdict, content_id
from charter.store.rowlog import RowLog

if TYPE_CHECKING:
    import pandas as pd

MEASUREMENTS = "measurements"
#: How ``store.rowlog.set_aside`` has people name a folder that cannot be read.
DAMAGED = ".damaged"


class Measurement(Row):
    """What was asked and how it went. ``seeds`` runs of ``samples`` replies to each of ``items`` items in ``variants`` (attack attempts) at most;
    ``attack_words`` names the words of the attack and its seed; ``labels`` the files of people's labels, by role. ``failed`` and ``unparsed`` count
    answers, of ``answers``. ``trusted`` is False, with the reasons, where too much failed."""

    benchmark: str
    version: str = "1"
    model: str
    settings: dict[str, object] = Field(default={})
    data: str = ""
    mode: str = "reply"
    sampling: Sampling
    samples: int = 1
    seeds: int = 1
    items: int
    limit: int | None = None
    examples: str
    system: str = ""
    attack: str = ""
    attack_words: str = ""
    judges: dict[str, str] = Field(default={})
    labels: dict[str, str] = Field(default={})
    judging: str
    trusted: bool
    reasons: tuple[str, ...] = ()
    answers: int
    failed: int
    unparsed: int
    dropped: dict[str, int] = Field(default={})
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    @property
    def set_to(self) -> str:
        """The settings as they are said in names; '' where all are as they come."""
        return ", ".join(f"{key}={value}" for key, value in sorted(self.settings.items()))


def named_with(name: str, settings: str) -> str:
    """A benchmark's or a number's name with the settings that tell it from another of the same name."""
    return f"{name} {{{settings}}}" if settings else name


@dataclass(frozen=True)
class Measured:
    """One run. ``verdicts`` has for every example its verdicts, one per seed, sample and variant, in that order; ``metrics`` are by name."""

    folder: Path
    measurement: Measurement
    examples: tuple[Example, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]
    metrics: Mapping[str, Metric]

    def frame(self) -> pd.DataFrame:
        """The metrics as a pandas table, a row per metric, with the model and the benchmark beside each."""
        import pandas as pd

        about = {"model": self.measurement.model, "benchmark": self.measurement.benchmark, "trusted": self.measurement.trusted}
        return pd.DataFrame([{**about, **metric.model_dump(mode="json", exclude={"schema_version"})} for metric in self.metrics.values()])

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """(example key, answer), as ``keyed_answers``."""
        return ((example_of(key), answer) for key, answer in self.keyed_answers())

    def keyed_answers(self) -> Iterator[tuple[str, Answer]]:
        """(answer key, answer), one by one from the disk in the order in which they came, of the examples and draws of this measurement: its verdicts
        are in the order of ``place_of`` the key. Where an answer was asked for again after it had failed, the later one holds."""
        keys, draws = {example.key for example in self.examples}, self.measurement.samples * self.measurement.seeds
        for key, answer in RowLog(self.folder / "answers.jsonl", Answer).latest():
            if example_of(key) in keys and place_of(key)[0] < draws:
                yield key, answer


def answer_key(example: str, draw: int, variant: int = 0) -> str:
    """The key of one answer: of the example's ``draw``-th reply (0-based, over seeds and samples), to the ``variant``-th form of its attack."""
    return f"{example}#{draw}" if not variant else f"{example}#{draw}.{variant}"


def example_of(key: str) -> str:
    """The example that an answer is to."""
    return key.rpartition("#")[0]


def place_of(key: str) -> tuple[int, int]:
    """(draw, variant) of an answer: verdicts of an example are in this order."""
    draw, _, variant = key.rpartition("#")[2].partition(".")
    return int(draw), int(variant or 0)


def judging_id(judges: Mapping[str, str], version: str, labels: Mapping[str, str] | None = None) -> str:
    """Names who judged (role -> ``name@version``), by which version of the benchmark and which files of people's ``labels``, in the keys of
    verdicts."""
    return content_id({"judges": dict(judges), "version": version, **({"labels": dict(labels)} if labels else {})})[:8]


def examples_id(examples: Sequence[Example]) -> str:
    """What was asked, whatever the order: two runs with the same id asked the same."""
    return content_id(sorted(example.id for example in examples))


def find_measured(path: Path) -> list[Path]:
    """The folders of finished runs at or under ``path``, sorted; not those below it that were set aside as damaged."""
    found = sorted(file.parent for file in path.rglob(f"{MEASUREMENTS}.jsonl"))
    return [folder for folder in found if not any(part.endswith(DAMAGED) for part in folder.relative_to(path).parts)]


def load_measured(folder: Path) -> Measured:
    """The last measurement in a folder. Raises InputError if there is none: the run was not finished, or it is no run of a benchmark."""
    file = folder / f"{MEASUREMENTS}.jsonl"
    rows = RowLog(file, Measurement).rows() if file.exists() else []
    if not rows:
        state = "was not finished" if (folder / "answers.jsonl").exists() else "holds no run of a benchmark"
        raise InputError(f"{folder}: {state}", "run the same charter evaluate command again, or give the folder of a finished run")
    last = rows[-1]
    examples = tuple(RowLog(folder / "examples.jsonl", Example).rows()[: last.items])
    draws = last.seeds * last.samples
    verdicts = read_verdicts(RowLog(folder / "verdicts.jsonl", Verdict), last.judging, examples, draws)
    found = {key.partition(":")[2]: metric for key, metric in RowLog(folder / "metrics.jsonl", Metric).items() if key.startswith(f"{len(rows)}:")}
    return Measured(folder, last, examples, verdicts, found)


def read_verdicts(log: RowLog[Verdict], judging: str, examples: Sequence[Example], draws: int) -> dict[str, tuple[Verdict, ...]]:
    """Verdicts of one judging by example, in the order of seeds, samples and variants."""
    wanted = {example.key for example in examples}
    found: dict[str, dict[str, Verdict]] = {example.key: {} for example in examples}
    for key, verdict in log.iterate():
        who, _, answer = key.partition(":")
        if who == judging and (example := example_of(answer)) in wanted and place_of(answer)[0] < draws:
            found[example][answer] = verdict
    return {key: tuple(by_answer[answer] for answer in sorted(by_answer, key=place_of)) for key, by_answer in found.items()}
