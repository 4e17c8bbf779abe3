"""Raw numbers of whole texts: what the encoder says over all their windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charter.judges._encoder import Tokens
from charter.judges._windows import Window


class Raw(NamedTuple):
    """Raw numbers of one text: the first window, the highest of each output over all windows, the mean, and the window that was highest."""

    first: NDArray[np.float32]
    highest: NDArray[np.float32]
    mean: NDArray[np.float32]
    where: NDArray[np.int64]
    windows: list[Window]


def raw(encoder: Any, windows: Sequence[Sequence[Window]]) -> list[Raw]:
    """Raw numbers of every text, all windows of all texts in one go."""
    numbers = encoder.run([w for ws in windows for w in ws])
    found, at = [], 0
    for ws in windows:
        part = numbers[at : at + len(ws)]
        if len(ws) == 1:
            found.append(Raw(part[0], part[0], part[0], np.zeros(part.shape[1], np.int64), list(ws)))
        else:
            found.append(Raw(part[0], part.max(axis=0), part.mean(axis=0), part.argmax(axis=0), list(ws)))
        at += len(ws)
    return found


def span_of(window: Window, tokens: Tokens) -> tuple[int, int]:
    """Characters that a window holds of its text."""
    if window.end <= window.start:
        return (0, 0)
    return tokens.offsets[window.start][0], tokens.offsets[window.end - 1][1]
