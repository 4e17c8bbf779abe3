"""lm-evaluation-harness: the files ``samples_<task>_<date>.jsonl`` (also gzipped) that ``--log_samples`` writes, versions 0.4.x.

A line is one item under one answer filter: ``doc_id``, ``arguments`` (the prompts), ``resps``, ``filter``, ``metrics`` and the metrics themselves.
Items that were weighed have the log-likelihoods of their options in ``resps``. ``results_<date>.json`` beside it names the model, the version and the
shots.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charter.core.errors import InputError
from charter.core.rows import Answer, Conversation, Example, Message, Reply, Sampling, Source
from charter.data.tables import read_text
from charter.evaluate.imports import Imported
from charter.evaluate.imports.scoring import Right, main_score, verdict_of
from charter.evaluate.measured import answer_key
from charter.judges._judging import nothing_in

WANTED = "give a samples_*.jsonl file of lm-eval --log_samples"
NAME = re.compile(r"samples_(?P<task>.+?)_(?P<date>\d{4}-\d\d-\d\dT[\d:.-]+)\.jsonl(\.gz)?")
BOOKKEEPING = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash", "extra_fields",
}  # fmt: skip


def read_lm_eval(path: Path, *, model: str = "", score: str = "", right: Right | None = None) -> Imported:
    """The run in one file of samples. ``score``: the metric that says right or wrong; the first of the file without.

    Raises InputError naming the line for a file that is none of these, and where nothing names the model.
    """
    named = NAME.fullmatch(path.name)
    task = named["task"] if named else path.name.partition(".")[0].removeprefix("samples_")
    about = _results(path.parent, named["date"] if named else "")
    items: dict[str, dict[str, Any]] = {}
    scores: dict[str, dict[str, float]] = {}
    for number, row in _rows(path):
        key = str(row["doc_id"])
        items.setdefault(key, row)
        suffix = "" if row.get("filter", "none") == "none" else f",{row['filter']}"
        found = scores.setdefault(key, {})
        for name, value in _numbers(row).items():
            if name + suffix in found:
                raise InputError(f"{path}: line {number}: the item {key} stands twice under the filter {row.get('filter', 'none')!r}", "give one run")
            found[name + suffix] = value
    main = main_score(str(path), scores.values(), score, right or Right())
    examples = {key: _example(task, key, row, path) for key, row in items.items()}
    model = model or str(about.get("model_name") or path.parent.name)
    if not model:
        raise InputError(f"{path}: nothing says which model was asked: no results file lies beside it", f"charter import lm-eval {path} --model NAME")
    answers, verdicts = {}, {}
    for key, example in examples.items():
        answer = Answer(model=model, conversation=example.conversation, sampling=Sampling(max_tokens=1), reply=_reply(items[key]))
        answers[answer_key(key, 0)] = answer
        subject = example.conversation.with_reply(answer.reply.text).id
        verdicts[answer_key(key, 0)] = verdict_of(subject, scores[key], main, "lm-eval", nothing_in(answer))
    shots, versions = (told if isinstance(told := about.get(name), dict) else {} for name in ("n-shot", "versions"))
    settings: dict[str, object] = {"shots": shots[task]} if task in shots else {}
    return Imported(
        source="lm-eval",
        benchmark=f"lm-eval/{task}",
        model=model,
        examples=tuple(examples.values()),
        answers=answers,
        verdicts=verdicts,
        version=str(versions.get(task, "1")),
        settings=settings,
        sampling=Sampling(max_tokens=1),
        right=main.setting,
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, sample). Raises DataError for a file that is no UTF-8 text or no gzip file, InputError for a line that is no sample."""
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{path}: line {number}: is not valid JSON", WANTED) from None
        if not isinstance(row, dict) or "doc_id" not in row or not isinstance(row.get("resps"), list):
            raise InputError(f"{path}: line {number}: has no 'doc_id' and 'resps'", WANTED)
        yield number, row
    if not lines:
        raise InputError(f"{path}: holds no samples", "run lm-eval with --log_samples")


def _results(folder: Path, date: str) -> Mapping[str, Any]:
    file = folder / f"results_{date}.json"
    if not date or not file.is_file():
        return {}
    try:
        found = json.loads(read_text(file))
    except (ValueError, RecursionError):
        raise InputError(f"{file}: is not valid JSON", f"mv {file} aside, to import without it") from None
    return found if isinstance(found, dict) else {}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of an item that are single numbers; a dictionary's entries are ``metric/entry``."""
    names = row.get("metrics") or [name for name in row if name not in BOOKKEEPING]
    found: dict[str, float] = {}
    for name in names:
        value = row.get(name)
        entries = {f"{name}/{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
        found |= {key: float(inner) for key, inner in entries.items() if isinstance(inner, int | float) and math.isfinite(inner)}
    return found


def _arguments(row: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """[(prompt, second argument), ...] of either form: lists, or ``{"gen_args_0": {"arg_0": ..., "arg_1": ...}}``."""
    given = row.get("arguments") or []
    if isinstance(given, dict):
        return [tuple(one[key] for key in sorted(one)) if isinstance(one, dict) else tuple(one) for one in given.values()]
    return [tuple(one) if isinstance(one, list) else (one,) for one in given]


def _example(task: str, key: str, row: Mapping[str, Any], path: Path) -> Example:
    arguments = _arguments(row)
    prompt = arguments[0][0] if arguments and arguments[0] else json.dumps(row.get("doc", ""), ensure_ascii=False)
    return Example(
        key=key,
        conversation=_conversation(prompt),
        target=str(row["target"]) if row.get("target") is not None else None,
        source=Source(dataset=f"lm-eval/{task}", revision=str(row.get("doc_hash", ""))[:16], row=key),
    )


def _conversation(prompt: Any) -> Conversation:
    """A chat, where the prompt is one (chat templates are logged as a list of messages, or as its JSON)."""
    chat = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
    if isinstance(chat, str) and chat.startswith("[{"):
        try:
            chat = json.loads(chat)
        except ValueError:
            chat = prompt
    if isinstance(chat, list) and chat and all(isinstance(m, dict) and m.get("role") in ("system", "user", "assistant") for m in chat):
        return Conversation(messages=tuple(Message(role=m["role"], content=str(m.get("content", ""))) for m in chat))
    return Conversation.ask(chat if isinstance(chat, str) else json.dumps(chat, ensure_ascii=False))


def _reply(row: Mapping[str, Any]) -> Reply:
    """The first answer; where options were weighed, the likeliest of them."""
    responses = [one[0] if isinstance(one, list) and one and isinstance(one[0], str | list) else one for one in row["resps"]]
    first = responses[0] if responses else ""
    if isinstance(first, str):
        return Reply(text=first, finish="stop") if first.strip() else Reply(text=first, finish="error", error="the answer is empty")
    logprobs = [float(one[0]) if isinstance(one, list) and one else math.nan for one in responses]
    options = [str(arguments[1]) if len(arguments) > 1 else str(place) for place, arguments in enumerate(_arguments(row))]
    if len(options) != len(logprobs) or any(math.isnan(value) for value in logprobs) or not logprobs:
        return Reply(text=json.dumps(row["resps"])[:2000], finish="stop")
    return Reply(text=options[logprobs.index(max(logprobs))], finish="stop", options=tuple(options), logprobs=tuple(logprobs))
