"""Text that left before it was checked: the same streams, with the same forbidden word in them, through Charter and its peers.

Run: .venv/bin/python benchmarks/gateway/leak.py [--streams 500] [--litellm V/bin/python] [--nemo V/bin/python] [--guardrails V/bin/python]

Each stream is words in which one forbidden term stands, cut at random places (also inside the term). Every guard is given that term as its only rule,
streaming as its documentation configures it. Counted: characters from the term's beginning on that reached the client, although all of them should
have been withheld; and streams of which the whole term came out. Peers live in virtual environments of their own: benchmarks/gateway/peers/*.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _load
import _servers

TERM = "ZEBRAFISH7Q"
PIECE_MS, AT_ONCE = 3, 4
PEERS = _servers.HERE / "peers"
WORDS = "the gateway holds every piece of a reply until somebody has read it and then lets it go on its way to the person who asked".split()
GUARD = f"""
name: leak
version: "1"
unguarded: [input]
output:
  - {{rail: blocklist, settings: {{phrases: [{TERM}]}}}}
"""
LITELLM = f"""
guardrails:
  - guardrail_name: words
    litellm_params:
      guardrail: litellm_content_filter
      mode: post_call
      default_on: true
      blocked_words: [{{keyword: {TERM}, action: BLOCK}}]
"""


def streams(count: int, seed: int = 7) -> list[list[str]]:
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        words = [rng.choice(WORDS) + ("." if rng.random() < 0.08 else "") for _ in range(rng.randint(30, 220))]
        words.insert(rng.randint(1, len(words)), TERM)
        text, pieces = " ".join(words), []
        while text:
            cut = rng.choice((1, 2, 3, 4, 5, 8, 13))
            pieces.append(text[:cut])
            text = text[cut:]
        found.append(pieces)
    return found


def judged(made: list[list[str]], said: list[str]) -> dict[str, Any]:
    """``said``: what the client got of each stream. What is not a part of the stream (a refusal put after it) is not counted."""
    leaked, whole, before, out = [], 0, 0, 0
    for pieces, text in zip(made, said, strict=True):
        original = "".join(pieces)
        start = original.index(TERM)
        common = next((n for n, (a, b) in enumerate(zip(original, text, strict=False)) if a != b), min(len(original), len(text)))
        leaked.append(max(0, common - start))
        whole += TERM in text
        before += start
        out += min(start, common)
    return {
        "streams": len(made),
        "share_of_harmless_beginnings_that_came_out": round(out / before, 3),
        "streams_with_a_leak": sum(n > 0 for n in leaked),
        "streams_with_the_whole_term": whole,
        "characters_leaked": sum(leaked),
        "most_in_one_stream": max(leaked),
    }


def through(server: _servers.Server, count: int, key: str = "") -> list[str]:
    """Each stream as a client would read it, a few at a time; the model server takes its time between pieces."""
    found = [""] * count

    async def some(numbers: range) -> None:
        client, took = _load.Client(server.url, key), _load.Took()
        for n in numbers:
            try:
                body = await client.post(_load.request(f"text-{n}-{PIECE_MS}", "Tell me.", stream=True), took)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                client.close()
                body = bytes(client.got)
            found[n] = content(body)
        client.close()

    async def all_of_them() -> list[str]:
        await asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
        return found

    return asyncio.run(all_of_them())


def content(body: bytes) -> str:
    said = []
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("data: {"):
            with contextlib.suppress(ValueError):
                said += [choice["delta"].get("content") or "" for choice in json.loads(line[6:]).get("choices", ()) if "delta" in choice]
    return "".join(said)


def outside(python: str, script: str, texts: Path, *flags: str) -> list[str]:
    """A peer that is a library, in its own Python."""
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl", encoding="utf-8") as out:
        command = [python, str(PEERS / script), str(texts), TERM, out.name, *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return [json.loads(line)["text"] for line in out]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=500)
    for peer in ("litellm", "nemo", "guardrails"):
        parser.add_argument(f"--{peer}", default="")
    parser.add_argument("--no-charter", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("gateway-leak.json"))
    given = parser.parse_args()
    made = streams(given.streams)
    found: dict[str, Any] = {"machine": _servers.machine()}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        texts = Path(folder) / "streams.jsonl"
        texts.write_text("".join(json.dumps({"pieces": pieces}) + "\n" for pieces in made), encoding="utf-8")
        behind = stack.enter_context(_servers.upstream(texts))

        def litellm() -> list[str]:
            with _servers.litellm(given.litellm, behind.url, LITELLM) as server:
                return through(server, len(made), _servers.LITELLM_KEY)

        def charter() -> list[str]:
            with _servers.gateway(behind.url, GUARD) as server:
                return through(server, len(made))

        runs: dict[str, tuple[bool, Callable[[], list[str]]]] = {
            "charter": (not given.no_charter, charter),
            "litellm, content filter, post_call": (bool(given.litellm), litellm),
            "nemo guardrails, as documented (stream_first)": (bool(given.nemo), lambda: outside(given.nemo, "leak_nemo.py", texts)),
            "nemo guardrails, stream_first off": (bool(given.nemo), lambda: outside(given.nemo, "leak_nemo.py", texts, "--hold")),
            "guardrails-ai, on_fail exception": (bool(given.guardrails), lambda: outside(given.guardrails, "leak_guardrails.py", texts, "exception")),
            "guardrails-ai, on_fail fix": (bool(given.guardrails), lambda: outside(given.guardrails, "leak_guardrails.py", texts, "fix")),
        }
        for name, (wanted, run) in runs.items():
            if wanted:
                try:
                    found[name] = judged(made, run())
                except (RuntimeError, SystemExit, subprocess.TimeoutExpired) as error:
                    found[name] = {"did_not_run": str(error)[-800:]}
                sys.stdout.write(f"{name}: {json.dumps(found[name])}\n")
                sys.stdout.flush()
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
