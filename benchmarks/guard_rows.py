"""Rows to calibrate the default policy on: public requests that the classifier did not learn from and that no figure is reported on.

Run: CHARTER_DATA=FOLDER .venv/bin/python benchmarks/guard_rows.py rows.jsonl
Then: charter guard calibrate --data rows.jsonl --max-false-alarms 0.02 --out guard.yaml

From the pooled training rows only the fifth that is held out of every training (``charter.judges._heldout``), and only sources that are not reported.
XSTest, Arena-Hard, MT-Bench, Self-Instruct, NotInject, CyberSecEval's injections, the jailbreaks of the wild and DAN, AILuminate and the starter set
take no part. Everyday requests are the Tulu evaluation's, without those that it took from Self-Instruct.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charter.data.care import must_drop
from charter.judges._heldout import is_held_out

#: Source to the rails that should hold it back; none for harmless ones.
REQUESTS = {
    **dict.fromkeys(("persistbench", "truthfulqa", "wildguard_benign", "cyberseceval_frr", "bipia_context_train"), ()),
    **dict.fromkeys(("harmfulqa", "catqa", "dangerousqa", "advbench", "harmbench", "tdc2023", "gptfuzz_questions"), ("request_harm",)),
    **dict.fromkeys(("sap", "pyrit_templates", "jbb_prompt_with_random_search", "jbb_GCG", "jbb_DSN", "jbb_JBC"), ("jailbreak",)),
    "bipia_train": ("injection",),
}


def main() -> None:
    data, out = Path(os.environ["CHARTER_DATA"]), Path(sys.argv[1])
    seen: set[str] = set()
    counted: Counter[str] = Counter()
    with out.open("w", encoding="utf-8") as written:
        for source, text, rails in found(data):
            key = " ".join(text.lower().split())
            if key in seen or not key or must_drop(text):
                continue
            seen.add(key)
            counted[source] += 1
            row: dict[str, Any] = {"id": f"{source}-{counted[source]}", "prompt": text}
            row["harmful"] = bool(rails)  # a harmful row counts for all rails: which of them stops it does not matter
            written.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(dict(sorted(counted.items())), indent=1) + "\n")


def found(data: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for name in ("harmful_request", "jailbreak_injection"):
        with gzip.open(data / "train" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["source"] in REQUESTS and is_held_out(row["text"]):
                    yield row["source"], row["text"], REQUESTS[row["source"]]
    for line in (data / "tulu_human_eval" / "eval_instances_tulu_1.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if not row["id"].startswith("user_oriented") and is_held_out(row["prompt"]):
            yield "tulu", row["prompt"], ()


if __name__ == "__main__":
    main()
