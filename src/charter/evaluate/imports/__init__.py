"""Results of other harnesses as runs of benchmarks, so that they can be paired, tested, gated and shown like our own.

A reader (one module each) gives ``Imported``; ``keep`` writes it as a run folder. What an item was scored is kept under the scorer's own name in
``Verdict.scores``; one score also says whether the item went as it should (``scoring``).

Harnesses score what failed like an answer; here an item without a reply is failed, and whatever it was scored is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from charter.core import registry
from charter.core.rows import Answer, Example, Metric, Reply, Sampling, Verdict
from charter.evaluate.counting import by_seed, distrust, over_seeds, record
from charter.evaluate.measured import Measured, Measurement, answer_key, examples_id, judging_id, load_measured, read_verdicts
from charter.evaluate.shelved import MAX_FAILED
from charter.evaluate.sides import plain_numbers
from charter.judges._judging import nothing_in
from charter.store.runs import RunFolder


@dataclass(frozen=True)
class Imported:
    """One benchmark on one model. ``answers`` and ``verdicts`` are by ``answer_key``; ``keep`` gives a failed one to every draw that
    has none. ``judges``: role -> name@version. ``reasons`` not to trust it, as the run itself knew them; None: to be worked out. ``right``:
    the setting that says what counts as right, where it is not the usual. ``dropped``: what of the file is no item, reason -> how many."""

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
    right: Mapping[str, object] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


def keep(found: Imported, folder: Path, digest: str, max_failed: float = MAX_FAILED) -> Measured:
    """Write a run folder. Doing it again with the same file changes nothing. Raises StoreError if the folder holds something else."""
    found = _whole(found)
    config: dict[str, object] = {"source": found.source, "benchmark": found.benchmark, "model": found.model, "file": digest, **found.right}
    with RunFolder(folder, f"import {found.benchmark}", config) as place:
        judging = judging_id(found.judges, found.version)
        place.log("examples", Example).append((example.key, example) for example in found.examples)
        place.log("answers", Answer).append(found.answers.items())
        log = place.log("verdicts", Verdict)
        log.append((f"{judging}:{key}", verdict) for key, verdict in found.verdicts.items())
        verdicts = read_verdicts(log, judging, found.examples, found.samples * found.seeds)
        record(place, _measurement(found, verdicts, judging, max_failed), _numbers(found, verdicts))
    return load_measured(folder)


def _whole(found: Imported) -> Imported:
    """With a failed verdict for every draw of every item that the file lacks."""
    answers, verdicts = dict(found.answers), dict(found.verdicts)
    for example in found.examples:
        for key in (answer_key(example.key, draw) for draw in range(found.samples * found.seeds)):
            if key not in verdicts:
                reply = Reply(text="", finish="error", error="the file has no answer for this draw")
                gone = Answer(model=found.model, conversation=example.conversation, sampling=found.sampling, reply=reply)
                reason = nothing_in(answers.setdefault(key, gone)) or "nothing was scored"
                subject = example.conversation.with_reply(answers[key].reply.text).id
                verdicts[key] = Verdict(subject=subject, outcome="failed", reason=reason, judge=found.source, judge_version="1")
    return replace(found, answers=answers, verdicts=verdicts)


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
        settings={**found.settings, **found.right},
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
        dropped=dict(found.dropped),
        tokens_in=sum(reply.tokens_in for reply in replies),
        tokens_out=sum(reply.tokens_out for reply in replies),
    )


def digest_of(*files: Path) -> str:
    """Hex SHA-256 over the files' contents."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()
