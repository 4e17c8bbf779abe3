"""The same requests to a model alone and to the model behind the gateway: harmful requests answered and harmless ones refused, with intervals.

Run: CHARTER_DATA=FOLDER .venv/bin/python benchmarks/gateway/quality.py [MODEL ...] [--limit N] [--guard FILE] [--out FOLDER]

MODEL: embedded (default), or a folder with an aligned checkpoint; several are measured one after the other. Requests: XSTest, and the held-out
topics of the starter set.
The gateway answers blocked requests with a refusal (``on_block: refusal``), so that both runs are judged by the same judge.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _servers

LINES = ("on_block: refusal", "refusal_in_content: true")


def charter(*arguments: object) -> None:
    command = [sys.executable, "-m", "charter.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, arguments[:2]))}: exit code {done.returncode}\n{done.stderr[-2000:]}")


def measured(url: str, name: str, folder: Path, limit: int | None) -> dict[str, Any]:
    """Both sets, through ``charter evaluate``."""
    folder.mkdir(parents=True, exist_ok=True)
    model, found = f"openai:{name}@{url}", {}
    some = ["--limit", limit] if limit else []
    charter("evaluate", model, "--suite", "xstest", *some, "--out", folder / "xstest", "--json", folder / "xstest.json", "--quiet")
    found["xstest"] = json.loads((folder / "xstest.json").read_text(encoding="utf-8"))
    if not limit:
        charter("evaluate", model, "--out", folder / "starter", "--json", folder / "starter.json", "--quiet")
        found["starter"] = json.loads((folder / "starter.json").read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["embedded"])
    parser.add_argument("--limit", type=int, default=None, help="items of XSTest; leaves the starter set out")
    parser.add_argument("--guard", default="default")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="gateway-quality-"))
    found: dict[str, Any] = {"machine": _servers.machine(), "guard": given.guard}
    for number, model in enumerate(given.models):
        port = _servers.free_port()
        command = [sys.executable, str(_servers.HERE / "local_server.py"), model, "--port", str(port)]
        where = out / f"{number}-{Path(model).name}"
        with _servers.started("model", command, port, ready="/v1/models", patience_s=300) as behind:
            alone = measured(behind.url, "model", where / "alone", given.limit)
            with _servers.gateway(behind.url, given.guard, lines=LINES) as server:
                guarded = measured(server.url, "model", where / "guarded", given.limit)
        found[model] = {"alone": alone, "guarded": guarded}
    (out / "quality.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + f"\nrows: {out}\n")


if __name__ == "__main__":
    main()
