"""One door: ``charter <command>``. Flags are few and frozen; everything else is in a recipe.

Exit codes: 0 done or passed, 3 the gate failed, 1 and 2 errors, 130 stopped by hand.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from charter.cli import audit as audit_commands
from charter.cli import guard as guard_commands
from charter.cli.classifier import train_classifier
from charter.cli.compare import compare
from charter.cli.evaluate import evaluate
from charter.cli.exchange import export_app, import_app
from charter.cli.judges import judges_app
from charter.cli.keys import app as keys_app
from charter.cli.report import report
from charter.cli.review import app as review_app
from charter.cli.serve import serve
from charter.cli.shelves import list_shelf
from charter.cli.store import app as store_app
from charter.core.errors import EXIT_ERROR, EXIT_GATE_FAILED, EXIT_USAGE, CharterError, InputError

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars; Charter draws its own

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Safety alignment of language models, from one charter."
)
generate_app = typer.Typer(no_args_is_help=True, help="Training rows from a charter.")
train_app = typer.Typer(no_args_is_help=True, help="Weights from rows.")
app.add_typer(generate_app, name="generate")
app.add_typer(train_app, name="train")
app.add_typer(judges_app, name="judges")
app.command()(compare)
app.command()(report)
app.command()(serve)
train_app.command("classifier")(train_classifier)
app.add_typer(export_app, name="export")
app.add_typer(import_app, name="import")
app.add_typer(guard_commands.app, name="guard")
app.add_typer(keys_app, name="keys")
app.add_typer(store_app, name="store")
app.add_typer(audit_commands.app, name="audit")
app.add_typer(review_app, name="review")


def _say_version(wanted: bool) -> None:
    if wanted:
        from charter import __version__

        typer.echo(f"charter {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="the version of Charter, and stop")] = False,
) -> None:
    """Options of the command itself; the app has its help."""


Out = Annotated[Path | None, typer.Option("--out", help="folder for the run's rows")]
ModelOption = Annotated[str | None, typer.Option("--model", help="embedded, a folder, a hub id, openai:NAME@URL, scripted")]
CharterOption = Annotated[str | None, typer.Option("--charter", help="default, minimal, or a YAML file")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress; the log file still tells")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[RECIPE] [key=value]...", help="a recipe (default: quickstart), then overrides")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print the resolved recipe, look at its charter, files and models without asking any, and stop")
]


@app.command()
def align(
    arguments: Overrides = None,
    model: ModelOption = None,
    charter: CharterOption = None,
    out: Out = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Baseline, red team, generate, train, evaluate again, gate, report. Run it again to go on after a stop."""
    from charter.cli import terminal
    from charter.core.progress import SILENT
    from charter.recipes.align import align as run
    from charter.recipes.config import load_recipe
    from charter.recipes.context import Context
    from charter.recipes.preflight import glance

    recipe = load_recipe(*_recipe_and_overrides(arguments), {"model": model, "charter": charter})
    if dry_run:
        typer.echo(terminal.recipe_text(recipe))
        glance(Context(recipe, out or Path("runs") / recipe.name, SILENT))
        return
    folder = out or Path("runs") / recipe.name
    with terminal.reporter(folder / "charter.log", quiet) as reporter:
        done = run(recipe, folder, reporter)
    terminal.show_summary(done.summary, done.report)
    if not done.summary.gate.passed:
        raise typer.Exit(EXIT_GATE_FAILED)


app.command()(evaluate)


@app.command()
def redteam(arguments: Overrides = None, model: ModelOption = None, charter: CharterOption = None, out: Out = None, quiet: Quiet = False) -> None:
    """Attack a model with the recipe's campaign; what succeeds becomes findings.jsonl.

    Goals are of the training topics. A model that Charter trained has learned from these: redteam.split=evaluation attacks it with held-out ones,
    redteam.data=FILE.jsonl with your own. An attack's settings: redteam.attacks='[{jailbreak: {per_goal: 4}}]'.
    """
    _stage("redteam", arguments, model, charter, out, quiet)


@generate_app.command("critique")
def generate_critique(
    arguments: Overrides = None, model: ModelOption = None, charter: CharterOption = None, out: Out = None, quiet: Quiet = False
) -> None:
    """Critique and revise against the charter; writes the SFT rows."""
    _stage("critique", arguments, model, charter, out, quiet)


@generate_app.command("preferences")
def generate_preferences(
    arguments: Overrides = None, model: ModelOption = None, charter: CharterOption = None, out: Out = None, quiet: Quiet = False
) -> None:
    """Label pairs by AI feedback, in both orders and both directions."""
    _stage("preferences", arguments, model, charter, out, quiet)


@train_app.command("sft")
def train_sft(arguments: Overrides = None, model: ModelOption = None, charter: CharterOption = None, out: Out = None, quiet: Quiet = False) -> None:
    """Safety SFT on the generated rows; writes a checkpoint."""
    _stage("sft", arguments, model, charter, out, quiet)


@train_app.command("dpo")
def train_dpo(arguments: Overrides = None, model: ModelOption = None, charter: CharterOption = None, out: Out = None, quiet: Quiet = False) -> None:
    """DPO on the labelled pairs, from the SFT checkpoint if the run has one."""
    _stage("dpo", arguments, model, charter, out, quiet)


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="a charter: a YAML file or a shipped name")],
    init: Annotated[bool, typer.Option("--init", help="write a short charter there first, to start from")] = False,
) -> None:
    """Explain every mistake in a charter, with its line; without one, say which hazards have requests to train on."""
    from charter.core.visible import visible
    from charter.policy.load import check_charter, load_charter, shipped, shipped_text
    from charter.recipes.preflight import practised
    from charter.store.runs import write_text

    if init:
        if Path(file).exists():
            raise InputError(f"{file}: is there already", f"charter check {file}")
        write_text(Path(file), shipped_text("minimal"))
        typer.echo(f"wrote {visible(file)}")
    known = file in shipped() or not Path(file).expanduser().exists()  # a mistyped name: loading it says which names there are
    problems = [] if known else check_charter(Path(file))
    for problem in problems:
        typer.echo(visible(f"{file}: {problem}"), err=True)
    if problems:
        raise typer.Exit(EXIT_USAGE)
    found = load_charter(file)
    typer.echo(f"{visible(found.name)}: {len(found.principles)} principles, {len(found.hazards)} hazards, hash {found.hash}: no mistakes")
    trained, judged = practised(found)
    typer.echo(visible(f"hazards with shipped requests to train on: {', '.join(trained) or 'none, so charter align stops'}"))
    if judged:
        typer.echo(visible(f"without (judged and guarded, not trained): {', '.join(judged)}; docs/charter.md says how to name a hazard"))


@app.command()
def doctor() -> None:
    """What this machine can run, what is missing, and the command to get it."""
    from charter.cli import terminal
    from charter.models._doctor import diagnose

    terminal.show_checks(diagnose())


app.command("list")(list_shelf)


def _stage(stage: str, arguments: list[str] | None, model: str | None, charter: str | None, out: Path | None, quiet: bool) -> None:
    """One stage of a recipe, with the stages it needs before it; the same folders as ``charter align --out`` makes."""
    from charter.cli import terminal
    from charter.recipes import single
    from charter.recipes.config import load_recipe

    recipe = load_recipe(*_recipe_and_overrides(arguments), {"model": model, "charter": charter})
    folder = out or Path("runs") / recipe.name
    with terminal.reporter(folder / "charter.log", quiet) as reporter:
        result = single.run_stage(stage, recipe, folder, reporter)
    terminal.show_stage(result)
    if result.reasons:
        raise typer.Exit(EXIT_ERROR)


def _recipe_and_overrides(arguments: list[str] | None) -> tuple[str | None, list[str]]:
    """The first argument is the recipe unless it is an override."""
    given = list(arguments or [])
    if given and "=" not in given[0]:
        return given[0], given[1:]
    return None, given


def main() -> None:
    """Entry point: CharterErrors become one clear line and their exit code; nothing else is hidden."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
    try:
        app(standalone_mode=True)
    except CharterError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; finished rows are kept, run the same command to go on\n")
        sys.exit(130)


def _complain(error: CharterError) -> None:
    from charter.cli.terminal import visible

    sys.stderr.write(f"error: {visible(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"  try: {visible(error.hint)}\n")


if __name__ == "__main__":
    main()
