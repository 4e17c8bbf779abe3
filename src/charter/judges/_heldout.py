"""Which rows no part of the harm judge is fitted on, so that it can be reported on them."""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

#: Sources of pooled training rows that are reported, never trained on.
NEVER_TRAINED = frozenset({"xstest_gpt4", "xstest_llama2new", "pyrit_refusal", "pyrit_refusal_extra", "pyrit_harm"})


def part_of(prompt: str, parts: int, salt: str) -> int:
    """Part number 0..parts-1 of a request, by its text alone: the same request is in the same part of every set."""
    key = f"{salt}\x1f{' '.join(prompt.lower().split())}"
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % parts


def is_held_out(prompt: str) -> bool:
    """A fifth of all requests."""
    return part_of(prompt, 5, "heldout") == 0


def gptfuzz_questions(data: Path) -> dict[str, str]:
    """Question number to text: the GPTFuzzer reply set stores only numbers."""
    with (data / "gptfuzz" / "question_list.csv").open(encoding="utf-8", newline="") as lines:
        return {row["index"]: row["text"] for row in csv.DictReader(lines)}
