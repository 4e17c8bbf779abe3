"""``charter serve``: the gateway."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from charter.core.errors import CharterError, MissingPartError
from charter.core.installing import install


def serve(
    upstream: Annotated[str | None, typer.Option("--upstream", help="base URL of the model server, such as http://127.0.0.1:8000/v1")] = None,
    guard: Annotated[str | None, typer.Option("--guard", help="a guard.yaml, or the name of a shipped one (default: default)")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="port to listen on; 0 takes a free one (default: 8700)")] = None,
    host: Annotated[str | None, typer.Option("--host", help="address to listen on (default: 127.0.0.1)")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="a gateway.yaml; docs/gateway.md explains every key")] = None,
) -> None:
    """Guard a model server: an OpenAI- and Anthropic-compatible gateway that lets nothing through unchecked."""
    try:
        from charter.guard.gateway import serve as room
        from charter.guard.gateway.config import load_config
    except ImportError as error:
        raise MissingPartError(f"the gateway needs {error.name}, which is not installed", install("serve")) from None
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    given = {"upstream.url": upstream, "guard": guard, "listen.port": port, "listen.host": host}
    built = room.build(load_config(config, given))
    server = room.server(built, lambda found: _tell(built, found))
    _settle()
    try:
        server.run()
    except KeyboardInterrupt:
        return
    except SystemExit:  # uvicorn's way of saying that it could not begin
        if server.started:
            raise
    if not server.started:
        raise CharterError(f"cannot listen on {built.config.listen.host}:{built.config.listen.port}", "charter serve --port 0")


def _settle() -> None:
    """What is loaded now stays for good: the collector would look at all of it again and again, for a tenth of a second, under somebody's request."""
    import gc

    from charter.core.normalise import views

    views("Grüße")  # builds the tables of characters
    gc.collect()
    gc.freeze()


def _tell(built: Any, port: int) -> None:
    from charter.cli.terminal import visible

    config, guard = built.config, built.guard
    rails = " and ".join(f"{len(guard.rails[stage])} {stage}" for stage in ("input", "output"))
    host = f"[{config.listen.host}]" if ":" in config.listen.host else config.listen.host
    key = f"from {config.upstream.key_env}" if built.has_key else f"none ({config.upstream.key_env} is not set)"
    for line in (
        f"listening on http://{host}:{port}/v1",
        f"upstream {config.upstream.url}, key {key}",
        f"guard {guard.label}: {rails} rails",
        *(f"bypass: {name}" for name in built.bypass),
        *(() if built.bypass else ("bypass: none",)),
        *(() if built.asks_for_keys or "no keys" in built.bypass else ("keys: not asked for on loopback",)),
    ):
        typer.echo(visible(line))
    sys.stdout.flush()
