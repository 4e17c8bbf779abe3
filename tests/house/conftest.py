"""Where the repository is, and the ``charter`` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import Forked

ROOT = Path(__file__).parents[2]
Charter = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks or would track; skips outside a checkout."""
    found = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in sorted(found.stdout.split("\0")) if name and (ROOT / name).is_file()]


@pytest.fixture
def charter(tmp_path: Path, forked: Forked) -> Charter:
    """``charter('evaluate', 'scripted', ..., HF_HUB_OFFLINE='1')`` in ``tmp_path``; keywords are environment variables."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "CHARTER_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", **environment}
        return forked.run(*arguments, cwd=tmp_path, env=variables)

    return run
