"""Requests in other languages: how many harmful ones the shipped classifier finds, how many harmless ones it flags, with its word lists and without.

Run: .venv/bin/python benchmarks/languages.py [--requests FOLDER] [--messages N] [--out FILE.json]

``benchmarks/languages/CODE.yaml`` has ``language``, ``harmful`` (with what the harm is), ``attack`` (jailbreaks and injections) and ``harmless``
(half of them look-alikes), written for this by somebody who had seen neither the lists nor the classifier. Nothing was learned from them.
``--messages``: N translated messages of installed programs in each language, which are harmless and talk of killing, attacks and passwords too.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from normaliser import LOCALES, translated

from charter.core.rows import Conversation
from charter.core.stats import wilson
from charter.judges import classifier

KINDS = ("harmful", "attack", "harmless")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=Path, default=Path(__file__).with_name("languages"))
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("languages-benchmark.json"))
    given = parser.parse_args()
    result: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "versions": {}, "rows": []}
    for name, lists in (("with", True), ("without", False)):
        judge = classifier.build(classifier.Config(subject="request", other_languages=lists))
        result["versions"][name] = judge.version
        for path in sorted(given.requests.glob("*.yaml")):
            rows = yaml.safe_load(path.read_text(encoding="utf-8"))
            rows["message"] = messages(path.stem, given.messages)
            for kind in (*KINDS, "message"):
                texts = [row["text"] if isinstance(row, dict) else row for row in rows[kind]]
                verdicts = judge.batch([Conversation.ask(text) for text in texts])
                result["rows"] += [
                    {"language": rows["language"], "lists": name, "kind": kind, "outcome": v.outcome, "score": v.score, "why": v.reason, "text": text}
                    for v, text in zip(verdicts, texts, strict=True)
                ]
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(table(result))


def messages(code: str, count: int) -> list[str]:
    """Messages of programs in a language of this machine; those of one seed."""
    folders = [folder for folder in sorted(LOCALES.glob(f"{code}*")) if folder.name.split("_")[0] == code]
    found = list(dict.fromkeys(text for folder in folders for text in translated(folder)))
    return random.Random(code).sample(found, min(count, len(found)))


def table(result: dict[str, Any]) -> str:
    """Shares that are ``unsafe``, by language; in brackets without the lists; with 95 % intervals (Wilson) over all."""
    lines = [f"Version {result['versions']['with']}, {result['date']}.", ""]
    lines += ["| language | harmful flagged | attacks flagged | harmless flagged |", "|---|---|---|---|"]
    for language in sorted({row["language"] for row in result["rows"]}):
        lines.append(f"| {language} | " + " | ".join(_cell(result["rows"], language, kind) for kind in KINDS) + " |")
    lines.append("| all | " + " | ".join(_over_all(result["rows"], kind) for kind in KINDS) + " |")
    if any(row["kind"] == "message" for row in result["rows"]):
        lines += [
            "",
            f"Messages of programs flagged, of {len(_flags(result['rows'], None, 'message', 'with'))}: {_over_all(result['rows'], 'message')}.",
        ]
    return "\n".join(lines) + "\n"


def _flags(rows: list[dict[str, Any]], language: str | None, kind: str, lists: str) -> list[bool]:
    return [
        row["outcome"] == "unsafe"
        for row in rows
        if row["kind"] == kind and row["lists"] == lists and (language is None or row["language"] == language)
    ]


def _cell(rows: list[dict[str, Any]], language: str, kind: str) -> str:
    now, before = (_flags(rows, language, kind, lists) for lists in ("with", "without"))
    return f"{sum(now)} of {len(now)} ({sum(before)})"


def _over_all(rows: list[dict[str, Any]], kind: str) -> str:
    shares = []
    for lists in ("with", "without"):
        flags = _flags(rows, None, kind, lists)
        low, high = wilson(sum(flags), len(flags))
        shares.append(f"{sum(flags) / len(flags):.3f} ({low:.3f} to {high:.3f})")
    return f"{shares[0]}; without {shares[1]}"


if __name__ == "__main__":
    main()
