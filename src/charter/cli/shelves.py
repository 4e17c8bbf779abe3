"""``charter list``: what stands on the shelves, and whether a plugin of one's own keeps their contract."""

from __future__ import annotations

from typing import Annotated

import typer

from charter.core.errors import EXIT_USAGE, CharterError, InputError


def list_shelf(
    shelf: Annotated[str | None, typer.Argument(help="attacks, judges, models, ...")] = None,
    check: Annotated[str | None, typer.Option("--check", metavar="NAME", help="put this plugin to the contract of its shelf")] = None,
) -> None:
    """Everything on a shelf, with what it is and what it does not cover.

    A plugin that cannot be loaded is named, with the reason. --check is for who writes one: exit code 2 if something is to be mended.
    """
    from charter.core.registry import SHELVES, find, names
    from charter.core.visible import visible

    shelves = [shelf] if shelf else list(SHELVES)
    if check is not None:
        _check(shelves, check)
        return
    for name in shelves:
        typer.echo(f"{name}:")
        for item in names(name):
            try:
                module = find(name, item)
            except CharterError as error:
                typer.echo(f"  {visible(item)}: BROKEN, {visible(error.message)}\n    try: {visible(error.hint)}")
                continue
            first = (module.__doc__ or "").strip().splitlines()[0]
            typer.echo(f"  {visible(item)}: {visible(first)}\n    does not cover: {visible(module.NOT_COVERED)}")


def _check(shelves: list[str], plugin: str) -> None:
    from charter.core.registry import names
    from charter.core.visible import visible
    from charter.recipes.plugins import check_plugin

    holding = [shelf for shelf in shelves if plugin in names(shelf)]
    if not holding:
        where = f"the shelf {shelves[0]}" if len(shelves) == 1 else f"any of the shelves {', '.join(shelves)}"
        raise InputError(f"nothing on {where} is called {plugin!r}", "charter list")
    faulty = False
    for shelf in holding:
        found = check_plugin(shelf, plugin)
        for fault in found.faults:
            typer.echo(f"{shelf}/{plugin}: {visible(fault)}", err=True)
        for note in found.notes:
            typer.echo(f"{shelf}/{plugin}: {visible(note)}")
        if not found.faults:
            typer.echo(f"{shelf}/{plugin}: keeps the contract of its shelf")
        faulty |= bool(found.faults)
    if faulty:
        raise typer.Exit(EXIT_USAGE)
