"""Runs as logs of Inspect AI (``.eval``), which its viewer opens. Needs the extra ``inspect``.

A log carries everything: samples hold the item and the verdict, scores hold the benchmark's numbers with intervals and denominators, and the run's
own description lies in the log's metadata, so that ``imports.inspect_log`` gives the same run back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.core.errors import InputError, MissingPartError
from charter.core.installing import install
from charter.core.rows import Answer, Conversation, Example, Verdict
from charter.evaluate.measured import Measured, example_of, place_of
from charter.store.rowlog import disk_error

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score

#: Letters of Inspect for our outcomes; a failed one is unscored.
LETTERS = {"safe": "C", "unsafe": "I", "unsure": "N"}
KEY = "charter"


def need_inspect() -> None:
    """Raises MissingPartError where Inspect is not installed."""
    try:
        import inspect_ai  # noqa: F401
    except ImportError:
        raise MissingPartError("Inspect AI is not installed", install("inspect")) from None


def write_log(run: Measured, path: Path) -> Path:
    """Write the run as ``path`` (``.eval`` or ``.json``). Raises MissingPartError without Inspect, StoreError where it cannot be written."""
    need_inspect()
    from inspect_ai.log import write_eval_log

    log = log_of(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(path))
    except OSError as error:
        raise disk_error(path, error) from None
    return path


def log_of(run: Measured) -> EvalLog:
    """The run as Inspect's own object."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalPlan, EvalPlanStep, EvalSpec, EvalStats
    from inspect_ai.model import GenerateConfig, ModelUsage

    what, samples = run.measurement, list(_samples(run))
    made = datetime.fromtimestamp((run.folder / "run.json").stat().st_mtime, UTC).isoformat()
    config = GenerateConfig(max_tokens=what.sampling.max_tokens, temperature=what.sampling.temperature, top_p=what.sampling.top_p)
    usage = ModelUsage(input_tokens=what.tokens_in, output_tokens=what.tokens_out, total_tokens=what.tokens_in + what.tokens_out)
    return EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=what.id,
            run_id=what.id,
            task_id=what.examples,
            created=made,
            task=f"charter/{what.benchmark}",
            task_version=what.version,
            task_args=dict(what.settings),
            dataset=EvalDataset(name=what.benchmark, samples=what.items, sample_ids=[example.key for example in run.examples]),
            model=what.model,
            model_generate_config=config,
            config=EvalConfig(epochs=max((sample.epoch for sample in samples), default=1)),
            metadata={KEY: what.model_dump(mode="json")},
        ),
        plan=EvalPlan(steps=[EvalPlanStep(solver="generate")], config=config),
        results=_results(run, samples),
        stats=EvalStats(started_at=made, completed_at=made, model_usage={what.model: usage}),
        samples=samples,
    )


def _results(run: Measured, samples: list[EvalSample]) -> Any:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    unscored = sum(_unscored(sample) for sample in samples)
    metrics = {
        name: EvalMetric(name=name, value=metric.value, metadata=metric.model_dump(mode="json"))
        for name, metric in run.metrics.items()
        if metric.value is not None and math.isfinite(metric.value)
    }
    score = EvalScore(name=KEY, scorer=KEY, scored_samples=len(samples) - unscored, unscored_samples=unscored, metrics=metrics)
    return EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=[score])


def _unscored(sample: EvalSample) -> bool:
    value = (sample.scores or {})[KEY].value
    return isinstance(value, float) and math.isnan(value)


def _samples(run: Measured) -> Iterator[EvalSample]:
    """One per answer; the draws of an item are its epochs."""
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage

    epochs: Counter[str] = Counter()
    for key, example, answer, verdict in answers_in_order(run):
        epochs[example.key] += 1
        reply = answer.reply
        output = ModelOutput.from_content(
            run.measurement.model, reply.text, "max_tokens" if reply.finish == "length" else "stop", reply.error or None
        )
        output.usage = ModelUsage(input_tokens=reply.tokens_in, output_tokens=reply.tokens_out, total_tokens=reply.tokens_in + reply.tokens_out)
        asked = chat(answer.conversation)
        yield EvalSample(
            id=example.key,
            epoch=epochs[example.key],
            input=asked,
            target=example.target or "",
            messages=[*asked, output.message] if reply.text else asked,
            output=output,
            scores={KEY: score_of(verdict, reply.text)},
            metadata={"key": key, "example": example.model_dump(mode="json"), "answer": answer.model_dump(mode="json")},
        )


def answers_in_order(run: Measured) -> Iterator[tuple[str, Example, Answer, Verdict]]:
    """(key, item, answer, verdict) of every answer, item by item, in the order of draws and variants."""
    answers = dict(run.keyed_answers())
    order: dict[str, list[str]] = {}
    for key in answers:
        order.setdefault(example_of(key), []).append(key)
    for example in run.examples:
        keys = sorted(order.get(example.key, []), key=place_of)
        for key, verdict in zip(keys, run.verdicts[example.key], strict=True):
            yield key, example, answers[key], verdict


def chat(conversation: Conversation) -> list[Any]:
    """The messages as Inspect has them. Raises InputError for a tool's message."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    roles = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    unknown = [message.role for message in conversation.messages if message.role not in roles]
    if unknown:
        raise InputError(f"a message of the role {unknown[0]!r} cannot be put to Inspect", "charter evaluate")
    return [roles[message.role](content=message.text) for message in conversation.messages]


def score_of(verdict: Verdict, said: str) -> Score:
    """Correct where the item went as it should, no answer where it could not be read, unscored where judging failed."""
    from inspect_ai.scorer import Score

    metadata = {"verdicts": [verdict.model_dump(mode="json")]}
    if verdict.outcome == "failed":
        reason = "grader_failed" if said.strip() else "no_response"
        return Score.unscored(reason=reason, answer=said, explanation=verdict.reason, metadata=metadata)
    return Score(value=LETTERS[verdict.outcome], answer=verdict.label or None, explanation=verdict.reason or None, metadata=metadata)
