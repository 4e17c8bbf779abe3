"""``charter train classifier``: the weights of the shipped classifier, from the public sets or from your own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_classifier(
    recipe: Annotated[Path | None, typer.Argument(help="a YAML file; empty means the recipe of the shipped weights")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for checkpoints, weights and their card")] = Path("runs/classifier"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only the result")] = False,
) -> None:
    """The judge ``classifier``: a small encoder with all heads, quantised and calibrated. Run it again to go on after a stop."""
    from charter.train.classifier.build import train
    from charter.train.classifier.recipe import load_recipe
    from charter.train.classifier.told import figures

    card = train(load_recipe(recipe), out, (lambda line: None) if quiet else lambda line: typer.echo(line, err=True))
    for line in figures(card):
        typer.echo(line)
    typer.echo(f"weights: {out}")
