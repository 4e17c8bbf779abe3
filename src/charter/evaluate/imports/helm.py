"""HELM: the folder of a run, with ``per_instance_stats.json`` (scores), ``scenario_state.json`` (prompts, completions) and ``run_spec.json`` (name).

An instance may be repeated over train trials, which are its draws here, and perturbed, which makes it another item. Numbers about tokens and run time
are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.core.errors import InputError
from charter.core.rows import Answer, Conversation, Example, Reply, Sampling, Source, Verdict
from charter.evaluate.imports import Imported
from charter.evaluate.imports.scoring import Right, main_score, verdict_of
from charter.evaluate.measured import answer_key
from charter.judges._judging import nothing_in

SCORES, STATE, SPEC = "per_instance_stats.json", "scenario_state.json", "run_spec.json"
#: Statistics that are about the request, not about how good the answer was.
NO_SCORES = ("num_", "inference_", "training_", "batch_", "finish_reason_", "max_prob", "estimated_", "prompt_truncated", "logprob")
#: Where no score is named, the first of these that there is says right or wrong.
USUAL = ("exact_match", "quasi_exact_match", "prefix_exact_match", "safety_score", "chain_of_thought_correctness")


def read_helm(folder: Path, *, model: str = "", score: str = "", right: Right | None = None) -> Imported:
    """The run in ``folder``. Raises InputError for a file that is missing or is none of HELM's."""
    stats, state, spec = _read(folder / SCORES, list), _read(folder / STATE, dict), _read(folder / SPEC, dict)
    name = re.sub(r",?model=[^,]*", "", str(spec.get("name", folder.name))).rstrip(":,")
    model = model or str(state.get("adapter_spec", {}).get("model", "")) or "unknown"
    scores = {(_key(row), row.get("train_trial_index", 0)): _scores(row["stats"]) for row in _objects(folder / SCORES, stats, "stats")}
    main = main_score(str(folder / SCORES), scores.values(), score, right or Right(), USUAL)
    examples: dict[str, Example] = {}
    answers: dict[str, Answer] = {}
    verdicts: dict[str, Verdict] = {}
    asked: set[tuple[str, int]] = set()
    for request in _objects(folder / STATE, state.get("request_states", []), "instance"):
        key, trial = _key(request["instance"]), request.get("train_trial_index", 0)
        place = answer_key(key, trial)
        asked.add((key, trial))
        if place in answers or request.get("request_mode") == "calibration":
            continue
        example = examples.setdefault(key, _example(name, key, request))
        answer = Answer(model=model, conversation=example.conversation, sampling=_sampling(request), reply=_reply(request))
        answers[place] = answer
        subject = example.conversation.with_reply(answer.reply.text).id
        verdicts[place] = verdict_of(subject, scores.get((key, trial), {}), main, "helm", "" if _weighed(request) else nothing_in(answer))
    if not any((key, trial) in scores for key, trial in asked):
        raise InputError(f"{folder}: no instance of {SCORES} has its request in {STATE}", "give the folder of one finished run")
    sampling, trials = next(iter(answers.values())).sampling, 1 + max(trial for _, trial in scores)
    lone = len(scores.keys() - asked)
    return Imported(
        source="helm",
        benchmark=f"helm/{name}",
        model=model,
        examples=tuple(examples.values()),
        answers=answers,
        verdicts=verdicts,
        sampling=sampling,
        samples=trials,
        right=main.setting,
        dropped={f"scored in {SCORES}, without a request in {STATE}": lone} if lone else {},
    )


def _read(file: Path, kind: type) -> Any:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{file}: cannot be read", f"give the folder of one HELM run, with {SCORES}, {STATE} and {SPEC}") from None
    except ValueError:
        raise InputError(f"{file}: is not valid JSON", "run helm-run again for this run") from None
    if not isinstance(found, kind):
        raise InputError(f"{file}: holds a {type(found).__name__}, not what HELM writes", f"give the folder of one HELM run, with {SCORES}")
    return found


def _objects(file: Path, rows: Any, key: str) -> list[Mapping[str, Any]]:
    """The entries of a list. Raises InputError for one that is no object, or that has no ``key``."""
    found = rows if isinstance(rows, list) else [rows]
    wrong = next((place for place, row in enumerate(found, 1) if not isinstance(row, dict) or not isinstance(row.get(key), dict | list)), None)
    if wrong is not None:
        raise InputError(f"{file}: entry {wrong}: has no {key!r}, which HELM writes", f"give the folder of one HELM run, with {SCORES}")
    return found


def _key(row: Mapping[str, Any]) -> str:
    perturbation = (row.get("perturbation") or {}).get("name", "")
    key = str(row.get("instance_id", row.get("id", "")))
    return f"{key}/{perturbation}" if perturbation and perturbation != "identity" else key


def _scores(stats: list[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for stat in stats:
        name, value = str(stat.get("name", {}).get("name", "")), stat.get("mean")
        if name and not name.startswith(NO_SCORES) and isinstance(value, int | float):
            found.setdefault(name, float(value))
    return found


def _example(name: str, key: str, request: Mapping[str, Any]) -> Example:
    """What was asked is the question of the scenario; the shots before it differ between trials and are part of how the model is run."""
    instance = request["instance"]
    text = instance.get("input", {}).get("text", "") or request.get("request", {}).get("prompt", "")
    correct = [r["output"]["text"] for r in instance.get("references", []) if "correct" in r.get("tags", []) and "text" in r.get("output", {})]
    return Example(
        key=key,
        conversation=Conversation.ask(text),
        target=correct[0] if correct else None,
        source=Source(dataset=f"helm/{name}", row=key, revision=str(instance.get("split", ""))),
    )


def _sampling(request: Mapping[str, Any]) -> Sampling:
    asked = request.get("request", {})
    temperature, top_p = float(asked.get("temperature", 0.0) or 0.0), float(asked.get("top_p", 1.0) or 1.0)
    return Sampling(max_tokens=max(1, int(asked.get("max_tokens", 1) or 1)), temperature=temperature, top_p=min(1.0, top_p))


def _weighed(request: Mapping[str, Any]) -> bool:
    """Whether the model was asked for the log probabilities of a text, and for no word of its own."""
    return request.get("request", {}).get("max_tokens") == 0 and (request.get("result") or {}).get("success") is True


def _reply(request: Mapping[str, Any]) -> Reply:
    result = request.get("result") or {}
    completions = result.get("completions") or [{}]
    text = str(completions[0].get("text", ""))
    if result.get("success") is False or not text.strip():
        return Reply(text=text, finish="error", error=str(result.get("error") or "the answer is empty"))
    return Reply(text=text, finish="stop")
