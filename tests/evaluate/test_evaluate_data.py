"""``charter evaluate MODEL --data``: too many failures are no result, and running it again asks only for what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charter.cli import app
from charter.store.runs import read_run

SCRIPT = 'rules:\n  - {match: "row [5-9]", error: "HTTP 503"}\ndefault: "Sure, here is a short answer."\n'


class Command:
    """Ten rows, of which the scripted model fails on five until it is mended."""

    def __init__(self, folder: Path) -> None:
        self.script, self.data, self.out, self.json = (folder / name for name in ("m.yaml", "d.jsonl", "out", "m.json"))
        self.script.write_text(SCRIPT)
        rows = [{"id": n, "prompt": f"What is on row {n}?", "harmful": n % 2 == 1} for n in range(10)]
        self.data.write_text("\n".join(map(json.dumps, rows)))

    def mend(self) -> None:
        self.script.write_text(SCRIPT.replace("[5-9]", "x"))

    def __call__(self, *more: str) -> tuple[int, dict[str, Any], str]:
        files = ["--data", str(self.data), "--out", str(self.out), "--json", str(self.json)]
        done = CliRunner().invoke(app, ["evaluate", f"scripted:{self.script}", *files, "--quiet", *more])
        return done.exit_code, json.loads(self.json.read_text()), done.output

    @property
    def asked(self) -> int:
        return len((self.out / "answers.jsonl").read_text().splitlines())

    @property
    def status(self) -> tuple[str, int, dict[str, int]]:
        run = read_run(self.out)
        assert run is not None
        return run.status, run.rows_out, run.dropped


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_too_many_failures_are_no_result_and_are_asked_again(command: Command) -> None:
    code, found, shown = command()
    assert code == 1
    assert not found["trusted"]
    assert found["reasons"] == ["5 of 10 answers failed (50.0 %, at most 10 % may): 5 x no reply: HTTP 503"]
    assert "CANNOT BE TRUSTED" in shown
    assert command.status == ("failed", 5, {"failed": 5})
    assert found["metrics"]["over_refusal"]["n"] == 3, "what was measured is kept"
    assert command()[0] == 1
    assert command.asked == 15
    command.mend()
    code, found, _ = command()
    assert (code, found["trusted"], found["reasons"]) == (0, True, [])
    assert (found["metrics"]["over_refusal"]["n"], found["metrics"]["over_refusal"]["n_failed"]) == (5, 0)
    assert command.asked == 20
    assert command.status == ("done", 10, {})
    assert command()[1] == found
    assert command.asked == 20


def test_the_share_that_may_fail_is_asked_for(command: Command) -> None:
    code, found, _ = command("--max-failed", "0.5")
    assert (code, found["trusted"]) == (0, True)
    assert command.status == ("done", 5, {"failed": 5})
    command.mend()
    assert command("--max-failed", "0.5")[1] == found, "a result that is trusted stays as it is"
    assert command.asked == 10
    code, found, _ = command("--max-failed", "0.01")
    assert (code, found["trusted"]) == (0, True)
    assert command.status == ("done", 10, {})
    assert command.asked == 15
