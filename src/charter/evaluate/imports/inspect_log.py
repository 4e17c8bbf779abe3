"""Logs of Inspect AI (``.eval`` and ``.json``) as runs. Needs the extra ``inspect``.

Logs of Charter's own tasks, and exported ones, come back as the runs that they are. Of any other log the samples are the items, their epochs the
draws, and every score is kept by its scorer's name: C, I, P and N as 1, 0, a half and 0, numbers and booleans as they are, entries of a dictionary
one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.core.errors import InputError
from charter.core.rows import Answer, Conversation, Example, Message, Reply, Sampling, Source, Verdict
from charter.evaluate.exports.inspect_log import KEY, need_inspect
from charter.evaluate.imports import Imported
from charter.evaluate.imports.scoring import Right, main_score, verdict_of
from charter.evaluate.measured import Measurement, answer_key
from charter.judges._judging import nothing_in

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
ROLES = ("system", "user", "assistant", "tool")


def read_inspect(path: Path, *, model: str = "", score: str = "", right: Right | None = None) -> Imported:
    """The run in one log. Raises InputError for a file that is no log or a run that did not finish, MissingPartError without Inspect."""
    need_inspect()
    from inspect_ai.log import read_eval_log

    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "give a .eval or .json log of Inspect")
    try:
        log = read_eval_log(str(path), resolve_attachments=True)
    except Exception as error:  # Inspect raises whatever zip, JSON and pydantic raise
        raise InputError(f"{path}: cannot be read as a log of Inspect: {str(error).splitlines()[0][:200]}", "inspect log dump FILE") from None
    if log.status != "success" or not log.samples:
        raise InputError(f"{path}: the evaluation has the status {log.status!r} and {len(log.samples or [])} samples", f"inspect eval-retry {path}")
    own = _own(log)
    return _ours(log, own, model) if own is not None else _theirs(log, path, model, score, right or Right())


def _own(log: EvalLog) -> Mapping[str, Any] | None:
    """What a log of ours says of itself."""
    found = (log.eval.metadata or {}).get(KEY)
    marked = all("example" in sample.metadata and KEY in (sample.scores or {}) for sample in log.samples or [] if sample.error is None)
    return found if isinstance(found, dict) and marked else None


def _ours(log: EvalLog, own: Mapping[str, Any], model: str) -> Imported:
    examples: dict[str, Example] = {}
    answers: dict[str, Answer] = {}
    verdicts: dict[str, Verdict] = {}
    sampling = _sampling(log)
    for sample in log.samples or []:
        example = Example.model_validate(sample.metadata["example"])
        examples[example.key] = example
        key = str(sample.metadata.get("key") or answer_key(example.key, sample.epoch - 1))
        given = sample.metadata.get("answer")
        answers[key] = Answer.model_validate(given) if given else _answer(sample, example, log.eval.model, sampling)
        verdicts[key] = _verdict(sample, example, answers[key])
    what = Measurement.model_validate(own) if "judging" in own else None
    return Imported(
        source="inspect",
        benchmark=str(own["benchmark"]),
        model=model or log.eval.model,
        examples=tuple(examples.values()),
        answers=answers,
        verdicts=verdicts,
        version=str(own.get("version", "1")),
        settings=dict(own.get("settings", {})),
        sampling=what.sampling if what else sampling,
        samples=int(own.get("samples", 1)),
        seeds=what.seeds if what else max(1, (log.eval.config.epochs or 1) // int(own.get("samples", 1))),
        attack=what.attack if what else "",
        attack_words=what.attack_words if what else "",
        system=what.system if what else "",
        judges=dict(own.get("judges", {})),
        reasons=what.reasons if what else None,
    )


def _verdict(sample: EvalSample, example: Example, answer: Answer) -> Verdict:
    if sample.error is None:
        (found,) = (sample.scores or {})[KEY].metadata["verdicts"]
        return Verdict.model_validate(found)
    subject = example.conversation.with_reply(answer.reply.text).id
    return Verdict(subject=subject, outcome="failed", reason=f"the sample failed: {sample.error.message[:200]}", judge=KEY, judge_version="1")


def _calls_tools(sample: EvalSample) -> bool:
    """A reply that only calls tools has no text, and may be scored by its calls."""
    return not sample.output.error and any(choice.message.tool_calls for choice in sample.output.choices)


def _theirs(log: EvalLog, path: Path, model: str, score: str, right: Right) -> Imported:
    samples = log.samples or []
    main = main_score(str(path), map(_scores, samples), score, right)
    examples: dict[str, Example] = {}
    answers: dict[str, Answer] = {}
    verdicts: dict[str, Verdict] = {}
    sampling, model = _sampling(log), model or log.eval.model
    task = log.eval.task.rpartition("/")[2]
    for sample in samples:
        key = str(sample.id)
        example = examples.setdefault(key, _example(sample, task))
        answer = _answer(sample, example, model, sampling)
        place = answer_key(key, sample.epoch - 1)
        answers[place] = answer
        reason = (
            f"the sample failed: {sample.error.message[:200]}" if sample.error is not None else "" if _calls_tools(sample) else nothing_in(answer)
        )
        verdicts[place] = verdict_of(example.conversation.with_reply(answer.reply.text).id, _scores(sample), main, "inspect", reason)
    return Imported(
        source="inspect",
        benchmark=f"inspect/{task}",
        model=model,
        examples=tuple(examples.values()),
        answers=answers,
        verdicts=verdicts,
        version=str(log.eval.task_version),
        settings={key: str(value) for key, value in log.eval.task_args.items() if value is not None},
        sampling=sampling,
        samples=log.eval.config.epochs or 1,
        right=main.setting,
    )


def _scores(sample: EvalSample) -> dict[str, float]:
    found: dict[str, float] = {}
    for scorer, score in (sample.scores or {}).items():
        value = score.value
        entries = {f"{scorer}/{name}": inner for name, inner in value.items()} if isinstance(value, Mapping) else {scorer: value}
        for name, inner in entries.items():
            number = LETTERS.get(inner) if isinstance(inner, str) else inner
            if isinstance(number, bool | int | float) and math.isfinite(number):
                found[name] = float(number)
    return found


def _example(sample: EvalSample, task: str) -> Example:
    if isinstance(sample.input, str):
        conversation = Conversation.ask(sample.input)
    else:
        said = [Message(role=message.role, content=message.text) for message in sample.input if message.role in ROLES]
        conversation = Conversation(messages=tuple(said))
    target = sample.target if isinstance(sample.target, str) else "\n".join(sample.target)
    choices = {"choices": "\n".join(sample.choices)} if sample.choices else {}
    return Example(key=str(sample.id), conversation=conversation, target=target or None, labels=choices, source=Source(dataset=f"inspect/{task}"))


def _answer(sample: EvalSample, example: Example, model: str, sampling: Sampling) -> Answer:
    output, usage = sample.output, sample.output.usage
    counts = {"tokens_in": usage.input_tokens, "tokens_out": usage.output_tokens} if usage is not None else {}
    text, error = output.completion, output.error or (sample.error.message if sample.error is not None else "")
    if error or not text.strip():
        reply = Reply.model_validate({"text": text, "finish": "error", "error": error[:500] or "the answer is empty", **counts})
    else:
        reply = Reply.model_validate({"text": text, "finish": "length" if output.stop_reason == "max_tokens" else "stop", **counts})
    return Answer(model=model, conversation=example.conversation, sampling=sampling, reply=reply)


def _sampling(log: EvalLog) -> Sampling:
    """As far as it was set; the rest was the provider's default."""
    plan, own = log.plan.config, log.eval.model_generate_config
    given = {name: getattr(own, name) if getattr(own, name) is not None else getattr(plan, name) for name in ("max_tokens", "temperature", "top_p")}
    return Sampling.model_validate({name: value for name, value in given.items() if value is not None and (name != "top_p" or 0 < value <= 1)})
