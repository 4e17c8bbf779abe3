"""Tables on a terminal and in a pipe: a name is never cut, for two may begin alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from charter.cli import terminal
from charter.core.rows import Metric

NAMES = [f"realtoxicityprompts/prompts-that-are-challenging/sampled-25-times/toxic/toxicity_{kind}" for kind in ("probability", "fraction")]


def measured() -> Any:
    metrics = {name: Metric(name=name, value=0.5, low=0.4, high=0.6, n=9, method="wilson95") for name in NAMES}
    what = SimpleNamespace(judges={}, model="m", items=9, reasons=())
    return SimpleNamespace(measurement=what, metrics=metrics, folder=SimpleNamespace(name="realtoxicityprompts"))


def test_a_pipe_gets_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_measured([measured()])
    lines = capsys.readouterr().out.splitlines()
    assert [sum(name in line for line in lines) for name in NAMES] == [1, 1]


def test_a_narrow_terminal_breaks_a_name_and_drops_no_letter(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_out", lambda: Console(highlight=False, markup=False, width=80))
    terminal.show_measured([measured()])
    shown = capsys.readouterr().out
    cells = "".join(line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│"))
    assert "…" not in shown
    assert all(name in cells for name in NAMES)
