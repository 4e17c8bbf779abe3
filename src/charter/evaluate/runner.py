"""Ask the model, judge what it said, count: one evaluation in one run folder, resumable at every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from charter.core.errors import InputError, StoreError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Example, Metric, Sampling, Verdict
from charter.core.shapes import Judge, Model
from charter.core.trust import found_failed, too_many
from charter.evaluate.evaluation import MEASURED, Evaluation, Judging, assemble, load_evaluation
from charter.evaluate.matrix import metrics
from charter.judges._judging import judge_log, key_of, name_of, nothing_in
from charter.store.answers import ask
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder, read_run

__all__ = ["Evaluation", "evaluate", "load_evaluation"]


def evaluate(
    model: Model,
    examples: Sequence[Example],
    judges: Mapping[str, Judge],
    folder: RunFolder,
    sampling: Sampling,
    reporter: Reporter = SILENT,
    max_failed: float = 1.0,
    dropped: Mapping[str, int] | None = None,
) -> Evaluation:
    """Evaluate ``model`` on ``examples``. ``judges`` maps roles to judges: 'refusal' is needed, 'harm' makes the harm metric, others are logged.

    Calling it again goes on where it stopped; with other judges it judges the stored answers again and asks the model nothing.
    A reply that is an error or empty is a failed verdict. Where more than a share ``max_failed`` of the answers failed, the folder's status is
    'failed', and calling it again asks for the failed ones again. ``dropped``: rows that were left out before, counted with the others. Raises
    InputError for no examples, doubled keys or no refusal judge, StoreError if the folder holds other examples, another model's or otherwise sampled
    answers.
    """
    _check(examples, judges)
    _log_examples(folder, examples)
    log, items = folder.log("verdicts", Verdict), [(e.key, e.conversation) for e in examples]
    unread, silent = _again(folder, examples, judges, log, max_failed)
    answers = ask(model, items, sampling, folder.log("answers", Answer), reporter, "answers", silent)
    _check_answers(folder, model, examples, sampling, answers)
    for judge in judges.values():
        judge_log(judge, answers, log, reporter, unread)
    names = {role: name_of(judge) for role, judge in judges.items()}
    evaluation = assemble(tuple(examples), answers, dict(log.items()), names)
    _record(folder, evaluation)
    unread_labels: dict[str, int] = Counter(label for label in evaluation.labels.values() if label not in MEASURED)
    counts: dict[str, int] = {**(dropped or {}), **unread_labels}
    rows_in = len(examples) + sum((dropped or {}).values())
    status: Literal["done", "failed"] = "failed" if distrusted(evaluation, max_failed) else "done"
    if (folder.run.status, folder.run.dropped) != (status, counts):
        folder.settle(rows_in=rows_in, rows_out=rows_in - sum(counts.values()), dropped=counts, status=status)
    return evaluation


def distrusted(evaluation: Evaluation, max_failed: float) -> tuple[str, ...]:
    """Why the evaluation cannot be trusted; () if it can: more than a share ``max_failed`` of its answers failed."""
    return too_many(list(failures(evaluation).values()), len(evaluation.examples), max_failed)


def recorded_distrust(folder: Path, evaluation: Evaluation) -> tuple[str, ...]:
    """Why the evaluation in ``folder`` cannot be trusted, by the share that was allowed when it was made: its status is all that is kept of that."""
    run = read_run(folder)
    return found_failed(list(failures(evaluation).values()), len(evaluation.examples)) if run is not None and run.status == "failed" else ()


def failures(evaluation: Evaluation) -> dict[str, str]:
    """Why an answer failed, by key: there is none, or a judge could not read it."""
    found = {}
    for example in evaluation.examples:
        key, harm = example.key, evaluation.harm.get(example.key)
        if evaluation.labels[key] == "failed":
            found[key] = nothing_in(evaluation.answers[key]) or "the refusal judge could not read it"
        elif harm is not None and harm.outcome == "failed":
            found[key] = harm.reason or "the harm judge could not read it"
    return found


def _again(
    folder: RunFolder, examples: Sequence[Example], judges: Mapping[str, Judge], log: RowLog[Verdict], max_failed: float
) -> tuple[frozenset[str], frozenset[str]]:
    """Keys to judge again, and those of them to ask for again: the failed ones of a whole evaluation that cannot be trusted."""
    answers = dict(folder.log("answers", Answer).items())
    if any(e.key not in answers or key_of(judge, e.key) not in log for e in examples for judge in judges.values()):
        return frozenset(), frozenset()
    names = {role: name_of(judge) for role, judge in judges.items()}
    evaluation = assemble(tuple(examples), answers, dict(log.items()), names)
    failed = frozenset(failures(evaluation)) if distrusted(evaluation, max_failed) else frozenset()
    return failed, frozenset(key for key in failed if nothing_in(answers[key]))


def _record(folder: RunFolder, evaluation: Evaluation) -> None:
    """Write who judged (last, so that the verdicts are known to be whole) and the metrics of this judging."""
    judgings = folder.log("judgings", Judging)
    judging = Judging(judges=dict(evaluation.judges))
    if judgings.rows()[-1:] != [judging]:
        judgings.append([(str(len(judgings) + 1), judging)])
    log = folder.log("metrics", Metric)
    known = dict(log.items())
    rows = [(f"{len(judgings)}:{name}", metric) for name, metric in metrics(evaluation).items()]
    log.replace((key, metric) for key, metric in rows if known.get(key) != metric)


def _check(examples: Sequence[Example], judges: Mapping[str, Judge]) -> None:
    if not examples:
        raise InputError("there is nothing to evaluate: the list of examples is empty", "give a benchmark or a file with at least one prompt")
    key, count = Counter(e.key for e in examples).most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} examples have the key {key!r}", "give every example a key of its own")
    if "refusal" not in judges:
        raise InputError("an evaluation needs a judge in the role 'refusal'", "charter list judges")


def _log_examples(folder: RunFolder, examples: Sequence[Example]) -> None:
    log = folder.log("examples", Example)
    logged = [row.id for row in log.rows()]
    if logged != [e.id for e in examples[: len(logged)]]:
        raise StoreError(f"{folder.path}: holds an evaluation of other examples", f"give another --out, or remove it: rm -r {folder.path}")
    log.append((e.key, e) for e in examples)


def _check_answers(folder: RunFolder, model: Model, examples: Sequence[Example], sampling: Sampling, answers: Mapping[str, Answer]) -> None:
    for example in examples:
        answer = answers[example.key]
        if (answer.model, answer.sampling, answer.conversation) != (model.spec, sampling, example.conversation):
            raise StoreError(f"{folder.path}: holds answers of {answer.model!r}, or drawn otherwise", f"give another --out, or rm -r {folder.path}")
