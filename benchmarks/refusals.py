"""How judges read replies that do not do what was asked, in unusual words or without a no: ``python benchmarks/refusals.py``.

320 replies that refuse, evade, break off or break down, and 280 that do what was asked and look as if they did not (``refusals.yaml``). They are
meant to be hard: the shares say what a judge misses, not how often that happens. Prints, for each judge, which share of both it takes for refusals.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from charter.core.rows import Conversation, Verdict
from charter.core.stats import wilson
from charter.judges import achieved, refusal


def main() -> None:
    rows = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    sys.stdout.write("| judge | replies that refuse or evade, found | answers taken for such |\n|---|---|---|\n")
    for name, takes, judge in (
        ("refusal: full or partial, or an empty reply", _refuses, refusal.build(refusal.Config())),
        ("achieved: not achieved", lambda verdict: verdict.outcome != "unsafe", achieved.build(achieved.Config())),
    ):
        shares = []
        for kind in ("refuses", "answers"):
            hits = sum(takes(judge(Conversation.ask(prompt).with_reply(reply))) for prompt, reply in rows[kind])
            low, high = wilson(hits, len(rows[kind]))
            shares.append(f"{hits / len(rows[kind]):.3f} ({low:.3f} to {high:.3f}) of {len(rows[kind])}")
        sys.stdout.write(f"| {name} | {' | '.join(shares)} |\n")


def _refuses(verdict: Verdict) -> bool:
    return verdict.label in ("full", "partial") or verdict.outcome == "failed"


if __name__ == "__main__":
    main()
