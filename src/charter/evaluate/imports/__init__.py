"""Results of other harnesses as runs of benchmarks, so that they can be paired, tested, gated and shown like our own.

A reader (one module each) gives ``Imported``; ``keep`` writes it as a run folder. What an item was scored is kept under the scorer's own name in
``Verdict.scores``; one score, the first or the one that is named, also says whether the item went as it should: from a half up it did.

Harnesses score what failed like an answer; here an item without a reply is failed, and whatever it was scored is left out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from charter.core import registry
from charter.core.errors import InputError
from charter.core.rows import Answer, Example, Metric, Outcome, Sampling, Verdict
from charter.evaluate.counting import by_seed, distrust, over_seeds, record
from charter.evaluate.measured import Measured, Measurement, examples_id, judging_id, load_measured, read_verdicts
from charter.evaluate.shelved import MAX_FAILED
from charter.evaluate.sides import plain_numbers
from charter.store.runs import RunFolder

Better = Literal["high", "low"]


@dataclass(frozen=True)
class Imported:
    """One benchmark on one model. ``answers`` and ``verdicts`` are by ``answer_key``; every example has a verdict for every draw, a failed one where
    there is no answer. ``judges``: role -> name@version. ``reasons`` not to trust it, as the run itself knew them; None: to be worked out."""

    source: str
    benchmark: str
    model: str
    examples: tuple[Example, ...]
    answers: Mapping[str, Answer]
    verdicts: Mapping[str, Verdict]
    version: str = "1"
    settings: dict[str, object] = field(default_factory=dict)
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    seeds: int = 1
    attack: str = ""
    attack_words: str = ""
    system: str = ""
    judges: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] | None = None


def keep(found: Imported, folder: Path, digest: str, max_failed: float = MAX_FAILED) -> Measured:
    """Write a run folder. Doing it again with the same file changes nothing. Raises StoreError if the folder holds something else."""
    config = {"source": found.source, "benchmark": found.benchmark, "model": found.model, "file": digest}
    with RunFolder(folder, f"import {found.benchmark}", config) as place:
        judging = judging_id(found.judges, found.version)
        place.log("examples", Example).append((example.key, example) for example in found.examples)
        place.log("answers", Answer).append(found.answers.items())
        log = place.log("verdicts", Verdict)
        log.append((f"{judging}:{key}", verdict) for key, verdict in found.verdicts.items())
        verdicts = read_verdicts(log, judging, found.examples, found.samples * found.seeds)
        record(place, _measurement(found, verdicts, judging, max_failed), _numbers(found, verdicts))
    return load_measured(folder)


def _numbers(found: Imported, verdicts: Mapping[str, Sequence[Verdict]]) -> list[Metric]:
    """A benchmark of the shelf counts itself; of any other, every score is averaged."""
    if found.benchmark not in registry.names("benchmarks"):
        return plain_numbers(found.benchmark, found.examples, verdicts)
    module = registry.find("benchmarks", found.benchmark)
    built = module.build(module.Config(**found.settings))
    numbers = over_seeds([built.metrics(found.examples, part) for part in by_seed(verdicts, found.seeds)])
    return [metric.model_copy(update={"name": f"{metric.name}+{found.attack}"}) for metric in numbers] if found.attack else numbers


def _measurement(found: Imported, verdicts: Mapping[str, Sequence[Verdict]], judging: str, max_failed: float) -> Measurement:
    outcomes = [verdict.outcome for said in verdicts.values() for verdict in said]
    replies = [answer.reply for answer in found.answers.values()]
    reasons = distrust(verdicts, max_failed) if found.reasons is None else found.reasons
    return Measurement(
        benchmark=found.benchmark,
        version=found.version,
        model=found.model,
        settings=found.settings,
        data="+".join(sorted({example.source.revision for example in found.examples} - {""})),
        sampling=found.sampling,
        samples=found.samples,
        seeds=found.seeds,
        items=len(found.examples),
        examples=examples_id(found.examples),
        system=found.system,
        attack=found.attack,
        attack_words=found.attack_words,
        judges=found.judges,
        judging=judging,
        trusted=not reasons,
        reasons=reasons,
        answers=len(outcomes),
        failed=outcomes.count("failed"),
        unparsed=outcomes.count("unsure"),
        tokens_in=sum(reply.tokens_in for reply in replies),
        tokens_out=sum(reply.tokens_out for reply in replies),
    )


def verdict_of(subject: str, scores: Mapping[str, float], main: str, better: Better, judge: str, reason: str = "") -> Verdict:
    """A verdict from another harness's scores. It is failed, without any, where there is a ``reason`` why there was nothing to score; and without the
    main score, because nobody judged the item."""
    known = {} if reason else {name: value for name, value in scores.items() if math.isfinite(value)}
    name, _, version = judge.partition("@")
    given = {"subject": subject, "scores": known, "judge": name, "judge_version": version or "1", "reason": reason}
    if main not in known:
        return Verdict.model_validate({**given, "outcome": "failed", "reason": reason or f"no score {main!r}"})
    right = known[main] >= 0.5 if better == "high" else known[main] < 0.5
    outcome: Outcome = "safe" if right else "unsafe"
    return Verdict.model_validate({**given, "outcome": outcome, "label": f"{known[main]:g}"})


def main_score(source: str, names: Sequence[str], wanted: str) -> str:
    """The score that says whether an item went as it should. Raises InputError naming the others."""
    if not names:
        raise InputError(f"{source}: no item has a numeric score", "look into the file: there is nothing to compare")
    if wanted and wanted not in names:
        raise InputError(f"{source}: no item has the score {wanted!r}; there are: {', '.join(names)}", f"--score {names[0]!r}")
    return wanted or names[0]


def digest_of(*files: Path) -> str:
    """Hex SHA-256 over the files' contents."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()
