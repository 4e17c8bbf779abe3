"""``charter report``: the page of a finished run, or of several compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from charter.core.errors import InputError

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="an align run; or runs of benchmarks, compared if several, the oldest first")]
Out = Annotated[Path | None, typer.Option("--out", help="where to write the page; default: report.html in the run, comparison.html in the newest")]
Gate = Annotated[Path | None, typer.Option("--gate", metavar="POLICY.yaml", help="show the gate's verdict on top")]
PriceText = Annotated[str | None, typer.Option("--price", metavar="IN,OUT", help="per million tokens, to show the cost")]


def report(runs: Runs, out: Out = None, gate: Gate = None, price: PriceText = None) -> None:
    """Write one self-contained HTML page from the rows of finished runs. Asks no model anything."""
    from charter.recipes import single

    if len(runs) == 1 and single.is_align_run(runs[0]):
        if gate is not None or price is not None:
            given = "--gate" if gate is not None else "--price"
            raise InputError(f"{runs[0]}: is an align run; its report has a gate of its own and takes no {given}", f"charter report {runs[0]}")
        typer.echo(f"report: {single.rewrite_report(runs[0], out)}")
        return
    if gate is not None and len(runs) == 1:
        raise InputError("a gate holds a run against an older one, and only one is named", "charter report OLD NEW --gate POLICY.yaml")
    from charter.evaluate.estimate import Price
    from charter.recipes import benchmark_report

    place = out or runs[-1] / ("report.html" if len(runs) == 1 else "comparison.html")
    cost = None if price is None else Price(*_numbers(price))
    typer.echo(f"report: {benchmark_report.report(single.evaluations(runs), place, gate=gate, price=cost)}")


def _numbers(text: str) -> tuple[float, float]:
    try:
        tokens_in, tokens_out = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--price {text!r}: two numbers are needed, per million tokens in and out", "--price 0.15,0.60") from None
    return tokens_in, tokens_out
