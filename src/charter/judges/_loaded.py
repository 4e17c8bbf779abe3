"""Own weights are loaded once in a process, however many judges, rails and threads use them: a copy takes some 40 MB."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from charter.core.processors import processors
from charter.judges._encoder import WEIGHTS, Encoder, checked_files, read_card, shipped, version_of

#: By folder, card and threads. What nobody uses any more is let go.
_LOADED: WeakValueDictionary[tuple[str, str, int], Encoder] = WeakValueDictionary()
_lock = threading.Lock()


def _forked() -> None:
    """Whoever held the lock when the process was forked is not in the new one."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def loaded(folder: Path | None = None, threads: int = 0) -> Encoder:
    """The encoder of a folder, or the shipped one. Its files are looked at each time: altered ones are loaded anew, or refused (InputError)."""
    if folder is None and not threads:
        return shipped()
    place = WEIGHTS if folder is None else folder.expanduser()
    card = read_card(place)
    checked_files(place, card)
    digest = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    key = (str(place.resolve()), digest, threads or min(2, processors()))
    with _lock:
        encoder = _LOADED.get(key)
        if encoder is None:
            encoder = _LOADED[key] = Encoder(place, threads)
    return encoder


def own_versions(judge: Any) -> tuple[str, ...]:
    """The versions of the weights behind a judge, or behind its parts, that are not the shipped ones; sorted."""
    parts = (version for part in getattr(judge, "parts", ()) for version in own_versions(part))
    encoder = getattr(getattr(judge, "scorer", None), "encoder", None)
    found = {*parts, *([encoder.version] if isinstance(encoder, Encoder) else [])}
    return tuple(sorted(found - {version_of(read_card(WEIGHTS))})) if found else ()
