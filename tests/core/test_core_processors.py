"""How many processors may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.core import processors


@pytest.mark.parametrize(
    ("quota", "wanted"), [("max 100000\n", 4), ("100000 100000\n", 1), ("250000 100000", 2), ("50000 100000", 1), ("nonsense", 4), (None, 4)]
)
def test_processors_are_those_that_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str | None, wanted: int) -> None:
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processors, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota, encoding="ascii")
    assert processors.processors() == wanted
