"""Runs as flat tables: a row per answer, or a row per metric; as pandas, JSON lines, CSV or Parquet.

In CSV a text that a spreadsheet would take for a formula gets a leading apostrophe: what a model wrote must not be run by who opens the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from charter.core.errors import InputError, MissingPartError
from charter.core.rows import Conversation
from charter.evaluate.exports.inspect_log import answers_in_order
from charter.evaluate.measured import Measured
from charter.store.runs import write_bytes, write_text

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["jsonl", "csv", "parquet"]
#: Signs that begin a formula, in full width too, whatever blanks stand before them.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
BREAKS = ("\t", "\r", "\n")


def answer_rows(runs: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """A row per answer: who said what to which item, and how it was judged. Scores by head are ``score/<head>``."""
    for run in runs:
        what = run.measurement
        for key, example, answer, verdict in answers_in_order(run):
            reply = answer.reply
            yield {
                "model": what.model,
                "benchmark": what.benchmark,
                "attack": what.attack,
                "key": example.key,
                "draw": key.rpartition("#")[2],
                "harmful": example.harmful,
                "hazard": example.hazard,
                "tags": " ".join(example.tags),
                "prompt": dialogue(answer.conversation),
                "target": example.target,
                "reply": reply.text,
                "finish": reply.finish,
                "error": reply.error,
                "tokens_in": reply.tokens_in,
                "tokens_out": reply.tokens_out,
                "outcome": verdict.outcome,
                "label": verdict.label,
                "score": verdict.score,
                "judge": f"{verdict.judge}@{verdict.judge_version}",
                "reason": verdict.reason,
                **{f"score/{head}": value for head, value in sorted(verdict.scores.items())},
            }


def dialogue(conversation: Conversation) -> str:
    """The text of a single message, or every message after its role."""
    messages = conversation.messages
    return messages[0].text if len(messages) == 1 else "\n\n".join(f"{message.role}: {message.text}" for message in messages)


def metric_rows(runs: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """A row per metric, with interval and denominators."""
    for run in runs:
        what = run.measurement
        for metric in run.metrics.values():
            head = {"model": what.model, "benchmark": what.benchmark, "attack": what.attack, "trusted": what.trusted}
            yield {**head, **metric.model_dump(mode="json", exclude={"schema_version"})}


def frame(rows: Iterator[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a pandas table. Raises MissingPartError without pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingPartError("pandas is not installed", "pip install pandas") from None
    return pd.DataFrame(list(rows))


def write_table(rows: Iterator[dict[str, Any]], path: Path, form: str = "") -> int:
    """Write the rows to ``path``; the form is that of its name unless given. Returns how many. Raises InputError for an unknown form,
    MissingPartError for Parquet without pyarrow, StoreError for the disk."""
    form = form or path.suffix.removeprefix(".")
    if form not in get_args(Format):
        raise InputError(f"{path}: there is no form {form!r}; known: {', '.join(get_args(Format))}", "--format jsonl")
    table = list(rows)
    columns = list(dict.fromkeys(name for row in table for name in row))
    if form == "parquet":
        _parquet(table, columns, path)
    elif form == "csv":
        write_text(path, _csv(table, columns))
    else:
        write_text(path, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in table))
    return len(table)


def _csv(table: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    out = io.StringIO()
    # every text in quotes: csv leaves a bare carriage return without, and what stands behind it would be a row of its own
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in table)
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and (value.startswith(BREAKS) or value.lstrip().startswith(FORMULA)) else value


def _parquet(table: Sequence[dict[str, Any]], columns: Sequence[str], path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingPartError("Parquet needs pyarrow, which is not installed", "pip install pyarrow, or --format jsonl") from None
    found = {name: [_whole(row.get(name)) for row in table] for name in columns}
    made = io.BytesIO()
    pq.write_table(pa.table(found), made)
    write_bytes(path, made.getvalue())


def _whole(value: Any) -> Any:
    """Half surrogates, which a broken decoder may leave, have no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
