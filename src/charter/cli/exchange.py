"""``charter export`` and ``charter import``: runs for other tools, and other tools' results as runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.core.errors import InputError

if TYPE_CHECKING:
    from charter.evaluate.imports import Imported
    from charter.evaluate.imports.scoring import Right
    from charter.evaluate.measured import Measured

export_app = typer.Typer(no_args_is_help=True, help="Runs of benchmarks in the forms that other tools read.")
import_app = typer.Typer(no_args_is_help=True, help="Results of other harnesses as runs, to compare, gate and show.")

Run = Annotated[Path, typer.Argument(help="folder of a finished run, or of several")]
Format = Annotated[str, typer.Option("--format", help="jsonl, csv or parquet; default: as the file is named")]
File = Annotated[Path, typer.Option("--out", help="file to write")]
Folder = Annotated[Path | None, typer.Option("--out", help="folder for the run's rows")]
Logs = Annotated[Path | None, typer.Option("--out", help="folder for the logs; default: beside each run's rows")]
Model = Annotated[str, typer.Option("--model", help="call the model so")]
Score = Annotated[str, typer.Option("--score", help="the score that says whether an item went right; default: the first")]
Low = Annotated[bool, typer.Option("--low-is-right", help="the item went right where that score is below a half, not from a half up")]
From = Annotated[
    float | None, typer.Option("--right-from", help="the item went right where that score is at least this; needed where it leaves 0 to 1")
]
Below = Annotated[float | None, typer.Option("--right-below", help="the item went right where that score is below this")]


@export_app.command("inspect")
def export_inspect(run: Run, out: Logs = None) -> None:
    """Logs of Inspect AI (.eval), one per benchmark, which `inspect view` opens."""
    from charter.evaluate.exports.inspect_log import need_inspect, write_log

    need_inspect()
    runs = _runs(run)
    for found in runs:
        # several models have the same benchmarks: where there is more than one run, a log lies below --out as its run lies below RUN
        place = Path() if out is None or len(runs) == 1 else found.folder.relative_to(run).parent
        typer.echo(f"log: {write_log(found, (out or found.folder) / place / f'{found.folder.name}.eval')}")


@export_app.command("answers")
def export_answers(run: Run, out: File, form: Format = "") -> None:
    """A table with a row per answer: item, reply, verdict. Replies may be harmful."""
    from charter.evaluate.exports.tables import answer_rows, write_table

    typer.echo(f"rows: {write_table(answer_rows(_runs(run)), out, form)} in {out}")


@export_app.command("metrics")
def export_metrics(run: Run, out: File, form: Format = "") -> None:
    """A table with a row per metric, with interval and denominators."""
    from charter.evaluate.exports.tables import metric_rows, write_table

    typer.echo(f"rows: {write_table(metric_rows(_runs(run)), out, form)} in {out}")


@import_app.command("inspect")
def import_inspect(
    log: Annotated[Path, typer.Argument(help="a log of Inspect AI")],
    out: Folder = None,
    model: Model = "",
    score: Score = "",
    low: Low = False,
    right_from: From = None,
    right_below: Below = None,
) -> None:
    """A log of Inspect AI; those of our own tasks come back as the runs that they are."""
    from charter.evaluate.imports.inspect_log import read_inspect

    _keep(read_inspect(log, model=model, score=score, right=_right(low, right_from, right_below)), out, log)


@import_app.command("lm-eval")
def import_lm_eval(
    file: Annotated[Path, typer.Argument(help="a file samples_*.jsonl of lm-evaluation-harness (--log_samples)")],
    out: Folder = None,
    model: Model = "",
    score: Score = "",
    low: Low = False,
    right_from: From = None,
    right_below: Below = None,
) -> None:
    """A file of samples of lm-evaluation-harness."""
    from charter.evaluate.imports.lm_eval import read_lm_eval

    _exists(file)
    _keep(read_lm_eval(file, model=model, score=score, right=_right(low, right_from, right_below)), out, file)


@import_app.command("helm")
def import_helm(
    folder: Annotated[Path, typer.Argument(help="the folder of one HELM run")],
    out: Folder = None,
    model: Model = "",
    score: Score = "",
    low: Low = False,
    right_from: From = None,
    right_below: Below = None,
) -> None:
    """The per-instance results of a HELM run."""
    from charter.evaluate.imports.helm import SCORES, STATE, read_helm

    _keep(read_helm(folder, model=model, score=score, right=_right(low, right_from, right_below)), out, folder / SCORES, folder / STATE)


def _runs(path: Path) -> list[Measured]:
    from charter.evaluate.measured import find_measured, load_measured

    found = [load_measured(folder) for folder in find_measured(path)] if path.is_dir() else []
    if not found:
        raise InputError(f"{path}: holds no finished run of a benchmark", "charter evaluate MODEL --suite NAME --out FOLDER")
    return found


def _keep(found: Imported, out: Path | None, *files: Path) -> None:
    from charter.cli.terminal import show_measured, visible
    from charter.evaluate.imports import digest_of, keep
    from charter.recipes.single import default_folder

    digest = digest_of(*files)
    folder = out or default_folder("import", f"{found.benchmark}-{found.model}", digest, *map(str, found.right.values()))
    kept = keep(found, folder, digest)
    show_measured([kept])
    for reason, count in kept.measurement.dropped.items():
        typer.echo(f"left out {count}: {visible(reason)}")
    typer.echo(f"rows: {folder} ({visible(found.benchmark)}, {len(found.examples)} items, {visible(found.model)})")


def _right(low: bool, above: float | None, below: float | None) -> Right:
    from charter.evaluate.imports.scoring import Right

    if low + (above is not None) + (below is not None) > 1:
        raise InputError("--low-is-right, --right-from and --right-below: each says which items went right", "give one of them")
    for option, value in (("--right-from", above), ("--right-below", below)):
        if value is not None and not math.isfinite(value):
            raise InputError(f"{option} {value:g}: is no number that a score could reach", f"{option} 0.5")
    if above is not None:
        return Right("high", above)
    return Right("low" if low or below is not None else "high", below)


def _exists(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "check the path")
