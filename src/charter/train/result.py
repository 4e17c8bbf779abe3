"""What a trainer hands back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Trained(NamedTuple):
    """``checkpoint``: a folder that transformers loads. ``rows`` were used, ``dropped`` were not (reason to count), ``losses`` one per log line."""

    checkpoint: Path
    rows: int
    dropped: dict[str, int]
    steps: int
    losses: tuple[float, ...]
