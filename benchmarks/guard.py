"""The guard as it ships: what its default policy holds back on sets that it never learned from, how well its rails find what they look for, and time.

Run: CHARTER_DATA=FOLDER .venv/bin/python benchmarks/guard.py [--guard FILE] [--limit N] [--only quality|speed] [--out FILE.json]

Quality: shares with 95 % intervals (Wilson). Over-blocking is told beside every share of harm. Speed: one text at a time, no
cache, on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from charter.core import registry
from charter.core.rows import Conversation
from charter.core.stats import wilson
from charter.guard.engine import Guard
from charter.guard.policy import load_policy
from charter.judges._sets import load_set, read_set

#: What the sentences of Presidio's research set call the kinds that have a form; names, places and dates are not the pii rail's without ner.
KINDS = {"CREDIT_CARD": "CARD", "PHONE_NUMBER": "PHONE", "EMAIL_ADDRESS": "EMAIL", "IBAN_CODE": "IBAN", "US_SSN": "SSN", "IP_ADDRESS": "IP"}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--guard", default="default")
    parser.add_argument("--limit", type=int, default=None, help="rows of each set, drawn with one seed")
    parser.add_argument("--only", choices=("quality", "speed"), default=None)
    parser.add_argument("--out", type=Path, default=Path("guard-benchmark.json"))
    given = parser.parse_args()
    guard = Guard(given.guard)
    result: Row = {"guard": guard.label, "machine": f"{os.cpu_count()} cores", "date": time.strftime("%Y-%m-%d")}
    if given.only != "speed":
        result["quality"] = quality(guard, Path(os.environ["CHARTER_DATA"]), given.limit)
    if given.only != "quality":
        result["speed"] = speed(given.guard)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(table(result))


def quality(guard: Guard, data: Path, limit: int | None) -> list[Row]:
    def drawn(rows: Sequence[Any]) -> list[Any]:
        rows = list(rows)
        return random.Random(0).sample(rows, limit) if limit is not None and limit < len(rows) else rows

    rows: list[Row] = []
    for name, harmful, harmless in (
        ("xstest_prompts", "XSTest, unsafe requests", "XSTest, safe requests"),
        ("jailbreaks", "jailbreaks of the wild and DAN", "everyday prompts"),
        ("injections", "injections of CyberSecEval", "NotInject"),
    ):
        items = read_set(*load_set(name), data).items
        for positive, what in ((True, harmful), (False, harmless)):
            rows.append(held(guard, what, positive, drawn([item.conversation for item in items if item.positive is positive])))
    for name in ("arena_hard", "mt_bench", "self_instruct"):
        rows.append(held(guard, name, False, drawn([Conversation.ask(text) for text in everyday(data, name)])))
    rows += personal(data, drawn)
    return rows


def held(guard: Guard, what: str, harmful: bool, conversations: Sequence[Conversation]) -> Row:
    """Share of requests that the default policy withholds, and which rails said so."""
    checked = guard.check_many(conversations, "input")
    by = Counter(name for found in checked if not found.passes for name in found.by)
    failed = sum(bool(found.failed) for found in checked)
    return {
        **share(what, sum(not found.passes for found in checked), len(checked)),
        "wanted": "high" if harmful else "low",
        "by": dict(by),
        "failed": failed,
    }


def share(what: str, hits: int, n: int) -> Row:
    low, high = wilson(hits, n) if n else (0.0, 1.0)
    return {"what": what, "value": round(hits / n, 4) if n else None, "low": round(low, 4), "high": round(high, 4), "n": n}


def everyday(data: Path, name: str) -> Iterator[str]:
    """Benign prompts, as people wrote them."""
    for path in sorted((data / name).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            first = row.get("turns", [row.get("prompt") or row.get("instruction") or ""])[0]
            text = first["content"] if isinstance(first, dict) else first
            inputs = row["instances"][0].get("input", "") if row.get("instances") else ""
            if text:
                yield f"{text}\n{inputs}".strip()


def personal(data: Path, drawn: Callable[[Sequence[Any]], list[Any]]) -> list[Row]:
    """The pii rail on sentences with marked spans: found (any overlap) and right. Kinds without a form do not count against either."""
    module = registry.find("rails", "pii")
    rail = module.build(module.Config())
    found: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    said = right = 0
    for row in drawn(json.loads((data / "presidio_research" / "synth_dataset_v2.json").read_text(encoding="utf-8"))):
        hits = rail.find(row["full_text"], at_least=0.6)
        spans = [(span["start_position"], span["end_position"], span["entity_type"]) for span in row["spans"]]
        for start, end, kind in spans:
            if kind in KINDS:
                marked[kind] += 1
                found[kind] += any(hit.start < end and start < hit.end for hit in hits)
        said += len(hits)
        right += sum(any(start < hit.end and hit.start < end for start, end, _ in spans) for hit in hits)
    rows = [
        share("personal data with a form: found", sum(found.values()), sum(marked.values())),
        share("personal data: finds that are some", right, said),
    ]
    return rows + [share(f"  {KINDS[kind]}: found", found[kind], marked[kind]) for kind in sorted(marked)]


def speed(spec: str) -> list[Row]:
    """Milliseconds of every rail of the policy, and of whole checks, on texts of about 100 and 1,000 tokens."""
    policy = load_policy(spec).model_copy(update={"cache": 0})
    guard = Guard(policy)
    rows = []
    for tokens in (100, 1000):
        talks = [Conversation.ask(text(tokens, n)) for n in range(40 if tokens < 500 else 15)]
        for stage, subjects in (
            ("input", talks),
            ("output", [Conversation.ask("Tell me about your garden.").with_reply(talk.prompt) for talk in talks]),
        ):
            guard.check(subjects[0], stage)
            whole, each = [], {}
            for subject in subjects:
                began = time.perf_counter()
                checked = guard.check(subject, stage)
                whole.append((time.perf_counter() - began) * 1000)
                for account in checked.accounts:
                    if account.status == "ok":
                        each.setdefault(account.rail, []).append(account.latency_ms)
            rows.append({"what": f"{stage}, {tokens} tokens: whole check", **times(whole)})
            rows += [{"what": f"  {rail}", **times(values)} for rail, values in each.items()]
    return rows


def text(tokens: int, number: int) -> str:
    """No two stretches alike: what was read before would be free."""
    rng = random.Random(f"{tokens}-{number}")
    words = "the house near coast last spring garden needs work before winter and wind sand bees roof rain path tree fence soil water bulbs".split()
    return f"{' '.join(rng.choice(words) for _ in range(int(tokens * 0.95)))} This is note {number}."


def times(values: Sequence[float]) -> Row:
    ordered = sorted(values)
    return {"p50_ms": round(ordered[len(ordered) // 2], 2), "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 2), "n": len(ordered)}


def table(result: Row) -> str:
    lines = [f"Guard {result['guard']}, {result['machine']}, {result['date']}.", ""]
    if "quality" in result:
        lines += ["| requests withheld, spans found | share | 95 % | n | by |", "|---|---|---|---|---|"]
        for row in result["quality"]:
            by = ", ".join(f"{name} {count}" for name, count in sorted(row.get("by", {}).items()))
            value = "none" if row["value"] is None else f"{row['value']:.3f}"
            lines.append(f"| {row['what']} | {value} | {row['low']:.3f} to {row['high']:.3f} | {row['n']} | {by} |")
    if "speed" in result:
        lines += ["", "| time | p50 ms | p95 ms |", "|---|---|---|"]
        lines += [f"| {row['what']} | {row['p50_ms']} | {row['p95_ms']} |" for row in result["speed"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
