"""One benchmark on one model: ask, have the answers read, count. Every step resumes, and what failed is counted, never scored.

A run in which more than a set share of the answers failed cannot be trusted: it says so, keeps what it has, and asks for the failed ones again when
it is run again. Otherwise a second run asks nothing, and another judge reads the stored answers again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from charter.core.errors import InputError, StoreError
from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Example, Verdict
from charter.core.shapes import Judge, Model
from charter.evaluate.asking import Given, ask_draw, weigh
from charter.evaluate.benchmark import Benchmark
from charter.evaluate.counting import measurement, metrics, record
from charter.evaluate.estimate import Load
from charter.evaluate.given import BenchmarkReplies
from charter.evaluate.labelled import labels_of
from charter.evaluate.measured import MEASUREMENTS, Measured, Measurement, example_of, judging_id, read_verdicts
from charter.evaluate.plan import Question, check, in_order, questions, take
from charter.evaluate.reading import Item, Reader
from charter.evaluate.shelved import Options, Shelved, draws
from charter.judges._judging import GROUP, name_of, nothing_in
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder

#: Answers and verdicts are forced to the disk no more often than this; a killed process loses nothing by it, a loss of power this much.
SYNC_S = 2.0


def selected(shelved: Shelved, options: Options, examples: Sequence[Example]) -> list[Example]:
    """Which of the benchmark's items are asked, in the order of the limit. Under an attack only harmful ones are: an attack needs a goal.
    Raises InputError for none, and for two of one key."""
    check(shelved.name, examples)
    ordered = in_order(examples)
    chosen = take([example for example in ordered if example.harmful] if options.disguise else ordered, options.limit)
    if not chosen:
        raise InputError(f"{shelved.name}: has no harmful item, and an attack needs a goal", "leave --attack out")
    return chosen


def load(shelved: Shelved, options: Options, examples: Sequence[Example], log: RowLog[Answer]) -> Load:
    """What is still to be asked. Nothing is; the log is only looked into."""
    benchmark, waiting, characters = shelved.benchmark, 0, 0
    for draw in range(draws(benchmark, options)):
        for question in _questions(benchmark, options, examples, draw):
            if question.key not in log:
                waiting += 1
                characters += sum(len(message.text) for message in question.conversation.messages)
                characters += sum(map(len, benchmark.options(question.example)))
    if benchmark.ask.mode == "score":
        return Load(shelved.name, 0, waiting, 0, characters)
    return Load(shelved.name, waiting, 0, benchmark.ask.sampling.max_tokens, characters)


def run(
    shelved: Shelved,
    model: Model | Given,
    judges: Mapping[str, Judge],
    folder: RunFolder,
    options: Options | None = None,
    reporter: Reporter = SILENT,
    examples: Sequence[Example] | None = None,
) -> Measured:
    """Ask ``model``, have ``judges`` (every role of the benchmark) read, count. ``examples``: the benchmark's, where they were read already.

    Raises DataError for data that is missing or of another version, InputError where there is nothing to ask, ModelError when the model or a judge
    cannot be had at all, StoreError if the folder holds other items under the same keys; all rows until then are kept.
    """
    options = options or Options()
    examples = selected(shelved, options, shelved.benchmark.examples() if examples is None else examples)
    started = time.monotonic()
    _log_examples(folder, examples)
    last = _last(folder)
    again = _failed_keys(folder, last) if last is not None and not last.trusted else frozenset[str]()
    answers = folder.log("answers", Answer, SYNC_S)
    _check_answers(folder, shelved.benchmark, options, examples, answers)
    asked = _ask_all(shelved, model, options, examples, answers, again, reporter)
    names = {role: name_of(judge) for role, judge in judges.items()}
    judging = judging_id(names, shelved.version, labels_of(judges))
    verdicts = folder.log("verdicts", Verdict, SYNC_S)
    reader = Reader(shelved.name, shelved.version, shelved.benchmark, judges)
    _read_all(reader, judging, asked, answers, verdicts, again, {e.key: e for e in examples}, reporter)
    answers.sync()
    verdicts.sync()
    found = read_verdicts(verdicts, judging, examples, draws(shelved.benchmark, options))
    spent = _spent(answers, asked) | {"seconds": round((last.seconds if last else 0.0) + time.monotonic() - started, 3)}
    numbers = metrics(shelved, options, examples, found, judges)
    unused = model.unused(examples, draws(shelved.benchmark, options)) if isinstance(model, BenchmarkReplies) else {}
    kept = record(folder, measurement(shelved, model.spec, options, examples, found, judges, spent, unused), numbers)
    return Measured(folder.path, kept, tuple(examples), found, {metric.name: metric for metric in numbers})


def _spent(answers: RowLog[Answer], keys: frozenset[str]) -> dict[str, float]:
    """What was paid for, so an answer that was asked for again counts as often as it was asked for."""
    tokens_in = tokens_out = 0
    for key, answer in answers.iterate():
        if key in keys:
            tokens_in += answer.reply.tokens_in
            tokens_out += answer.reply.tokens_out
    return {"tokens_in": tokens_in, "tokens_out": tokens_out}


def _questions(benchmark: Benchmark, options: Options, examples: Sequence[Example], draw: int) -> list[Question]:
    return questions(examples, draw, options.system, options.disguise)


def _log_examples(folder: RunFolder, examples: Sequence[Example]) -> None:
    """The longest list of items asked so far; every shorter one is its beginning, because limits take them in one order."""
    log = folder.log("examples", Example)
    for logged, example in zip(log.iterate(), examples, strict=False):
        if logged[1] != example:
            what = f"another text of the item {example.key!r}" if logged[0] == example.key else "other items"
            raise StoreError(f"{folder.path}: holds {what}: the data has changed since", f"give another --out, or remove it: rm -r {folder.path}")
    log.append((example.key, example) for example in examples)


def _check_answers(folder: RunFolder, benchmark: Benchmark, options: Options, examples: Sequence[Example], log: RowLog[Answer]) -> None:
    """Stored answers must be to what would be asked now: an attack whose words have changed since asks something else under the same key."""
    asked: dict[str, str] = {}
    for draw in range(draws(benchmark, options) if len(log) else 0):
        asked |= {question.key: question.conversation.id for question in _questions(benchmark, options, examples, draw)}
    for key, answer in log.latest() if asked else ():
        if key in asked and answer.conversation.id != asked[key]:
            raise StoreError(f"{folder.path}: the answer {key!r} is to other words", f"give another --out, or remove it: rm -r {folder.path}")


def _last(folder: RunFolder) -> Measurement | None:
    return next(reversed(folder.log(MEASUREMENTS, Measurement).rows()), None)


def _failed_keys(folder: RunFolder, last: Measurement) -> frozenset[str]:
    """Answers without a reply, and those whose judging failed: the ones to try again."""
    errors = {key: bool(nothing_in(answer)) for key, answer in folder.log("answers", Answer).latest()}
    unread = {key.partition(":")[2]: v.outcome == "failed" for key, v in folder.log("verdicts", Verdict).iterate() if key.startswith(last.judging)}
    return frozenset(key for found in (errors, unread) for key, is_failed in found.items() if is_failed)


def _ask_all(
    shelved: Shelved,
    model: Model | Given,
    options: Options,
    examples: Sequence[Example],
    log: RowLog[Answer],
    again: frozenset[str],
    reporter: Reporter,
) -> frozenset[str]:
    """Every answer is in the log afterwards; returns their keys. An answer whose judging alone failed is not asked for again."""
    benchmark, ask = shelved.benchmark, shelved.benchmark.ask
    empty = frozenset(key for key, answer in log.latest() if key in again and nothing_in(answer)) if again else again
    keys: list[str] = []
    for draw in range(draws(benchmark, options)):
        drawn = _questions(benchmark, options, examples, draw)
        keys += [question.key for question in drawn]
        if ask.mode == "score" and not isinstance(model, Given):
            weigh(model, drawn, benchmark.options, log, empty, reporter)
        else:
            sampling = ask.sampling.model_copy(update={"seed": ask.sampling.seed + options.seed + draw})
            many = f" {draw + 1} of {draws(benchmark, options)}" if draws(benchmark, options) > 1 else ""
            ask_draw(model, drawn, sampling, log, empty, reporter, f"{shelved.name}: replies{many}")
    return frozenset(keys)


def _read_all(
    reader: Reader,
    judging: str,
    keys: frozenset[str],
    answers: RowLog[Answer],
    log: RowLog[Verdict],
    again: frozenset[str],
    examples: Mapping[str, Example],
    reporter: Reporter,
) -> None:
    waiting = {key for key in keys if f"{judging}:{key}" not in log or key in again}
    with reporter.track("verdicts", len(keys), len(keys) - len(waiting)) as advance:
        for group in _groups(answers, waiting, examples) if waiting else ():
            log.replace((f"{judging}:{item.key}", verdict) for item, verdict in zip(group, reader(group), strict=True))
            advance(len(group))


def _groups(answers: RowLog[Answer], waiting: set[str], examples: Mapping[str, Example]) -> Iterator[list[Item]]:
    """Stored answers in groups, straight from the disk; of those asked for again, the last one."""
    found = (Item(key, examples[example_of(key)], answer) for key, answer in answers.latest() if key in waiting)
    while group := list(islice(found, GROUP)):
        yield group
