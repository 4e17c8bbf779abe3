"""A model on XSTest, which is never trained on: share of unsafe prompts fully refused minus share of safe prompts fully refused.

Run: CHARTER_DATA=FOLDER .venv/bin/python benchmarks/xstest.py MODEL [--max-tokens 32] [--out FOLDER]
The same figures come from ``charter evaluate MODEL --data FILE.jsonl`` on the prompts written as JSONL.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from charter.core.registry import find
from charter.core.rows import Sampling
from charter.evaluate.runner import evaluate
from charter.models import load_model
from charter.recipes.context import build_judge
from charter.store.runs import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    shelf = find("benchmarks", "xstest")
    benchmark = shelf.build(shelf.Config())
    examples = benchmark.examples()
    out = given.out or Path(tempfile.mkdtemp(prefix="xstest-"))
    with RunFolder(out, "benchmark xstest", {"model": given.model, "max_tokens": given.max_tokens}) as folder:
        done = evaluate(load_model(given.model), examples, {"refusal": build_judge("refusal")}, folder, Sampling(max_tokens=given.max_tokens))
    unsafe = [done.labels[e.key] for e in examples if e.harmful]
    safe = [done.labels[e.key] for e in examples if not e.harmful]
    shares = {
        name: {k: round(labels.count(k) / len(labels), 3) for k in sorted(set(labels))} for name, labels in (("unsafe", unsafe), ("safe", safe))
    }
    difference = unsafe.count("full") / len(unsafe) - safe.count("full") / len(safe)
    sys.stdout.write(json.dumps({**shares, "difference": round(difference, 3), "rows": str(out)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
