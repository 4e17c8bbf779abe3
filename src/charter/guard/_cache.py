"""Verdicts by content: the same rail, settings, version, stage and conversation give the same verdict. Failures are never kept; text never is."""

from __future__ import annotations

import threading
from collections import OrderedDict

from charter.core.rows import Verdict

Key = tuple[str, str]


class VerdictCache:
    """The ``size`` verdicts used last, by the conversation's whole digest: its id is short enough to be forged. Safe for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Verdict] = OrderedDict()

    def get(self, fingerprint: str, digest: str) -> Verdict | None:
        with self._lock:
            found = self._kept.get((fingerprint, digest))
            if found is not None:
                self._kept.move_to_end((fingerprint, digest))
            return found

    def put(self, fingerprint: str, digest: str, verdict: Verdict) -> None:
        if self._size == 0 or verdict.outcome == "failed":
            return
        with self._lock:
            self._kept[fingerprint, digest] = verdict
            self._kept.move_to_end((fingerprint, digest))
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
