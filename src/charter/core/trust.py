"""When too much failed for the rest to be trusted: one rule for everything that asks a model and has what it said judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: More failed answers than this share, and the run cannot be trusted.
MAX_FAILED = 0.10


def too_many(failed: Sequence[str], total: int, max_failed: float) -> tuple[str, ...]:
    """Why a run cannot be trusted; () if it can: more than a share ``max_failed`` (0..1) of its ``total`` answers failed, each for a reason in
    ``failed``."""
    if not total or len(failed) <= max_failed * total:
        return ()
    return (_said(failed, total, f", at most {100 * max_failed:g} % may"),)


def found_failed(failed: Sequence[str], total: int) -> tuple[str, ...]:
    """The same of a run that was found to be untrusted when it was made, with a share that its folder does not hold."""
    return (_said(failed, total, ", more than was allowed when it was made"),)


def _said(failed: Sequence[str], total: int, allowed: str) -> str:
    often = "; ".join(f"{count} x {reason[:120] or 'no reason given'}" for reason, count in Counter(failed).most_common(3))
    return f"{len(failed)} of {total} answers failed ({100 * len(failed) / max(total, 1):.1f} %{allowed}): {often}"
