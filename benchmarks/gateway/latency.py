"""What the default rails add: to whole requests alone and under load, and to the first text of a stream.

Run: .venv/bin/python benchmarks/gateway/latency.py [--pairs 200] [--seconds 60] [--guard FILE] [--out FILE.json]

Alone: each request goes to the model server and through the gateway in turn, and the medians are compared; requests differ, so that no verdict
comes from the cache. Under load: requests come at random times, whatever the answers do. Needs a quiet machine.
Bars: added p50 at most 15 ms (100 tokens) and 90 ms (1,000 tokens); at 10 requests/s of 100 tokens p99 at most 60 ms; the
first text delayed by at most one window.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

import _load
import _servers

_WORDS = (
    "how do people who live near the coast prepare their gardens and boats for winter storms when forecasts change every day "
    "and what should a family with two children pack for a long weekend in the mountains if snow is likely and roads may close"
).split()


def prompt(tokens: int, rng: random.Random) -> str:
    """English of about so many tokens (a common word is one), and never the same twice."""
    words = [rng.choice(_WORDS) for _ in range(tokens - 4)]
    return f"{' '.join(words)} on day {rng.randrange(10**6)}?"


async def alone(direct: str, guarded: str, bodies: list[bytes]) -> dict[str, Any]:
    """One request at a time, in turn."""
    plain, behind = _load.Took(), _load.Took()
    first, second = _load.Client(direct), _load.Client(guarded)
    for body in bodies:
        await first.post(body, plain)
        await second.post(body, behind)
    first.close()
    second.close()
    return {
        "n": len(behind.total_ms),
        "direct_p50_ms": plain.p(0.5),
        "guarded_p50_ms": behind.p(0.5),
        "added_p50_ms": round(behind.p(0.5) - plain.p(0.5), 2),
        "added_p99_ms": round(behind.p(0.99) - plain.p(0.99), 2),
        "first_text_added_p50_ms": round(behind.p(0.5, "first_ms") - plain.p(0.5, "first_ms"), 2),
        "failed": behind.failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--guard", default="default")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("gateway-latency.json"))
    given = parser.parse_args()
    rng = random.Random(1)
    found: dict[str, Any] = {"machine": _servers.machine(), "guard": given.guard}
    with _servers.upstream() as behind, _servers.gateway(behind.url, given.guard) as server:
        found["start_s"] = round(server.started_s, 1)
        asyncio.run(alone(behind.url, server.url, [_load.request("words-20-0", prompt(100, rng)) for _ in range(10)]))  # warm
        for tokens in (100, 1000):
            # a short reply: what is measured is the check of the request; replies are measured by the streams below
            bodies = [_load.request("words-5-0", prompt(tokens, rng)) for _ in range(given.pairs)]
            found[f"alone_{tokens}_tokens"] = asyncio.run(alone(behind.url, server.url, bodies))
        bodies = [_load.request("words-100-0", prompt(100, rng)) for _ in range(given.pairs)]
        found["alone_100_tokens_reply_of_100"] = asyncio.run(alone(behind.url, server.url, bodies))
        for name, model, pairs in (("stream_20_ms_a_token", "words-100-20", max(5, given.pairs // 20)),):
            bodies = [_load.request(model, prompt(100, rng), stream=True) for _ in range(pairs)]
            found[name] = asyncio.run(alone(behind.url, server.url, bodies))
        bodies = [_load.request("words-5-0", prompt(100, rng)) for _ in range(int(given.rate * given.seconds))]
        cpu_s = server.cpu_exact_s()
        took = asyncio.run(_load.opened(server.url, bodies, given.rate))
        found[f"open_loop_{given.rate:g}_per_second"] = {
            **took.summary(),
            "cpu_ms_per_request": round(1000 * (server.cpu_exact_s() - cpu_s) / len(bodies), 2),
        }
        found["resident_mib"] = round(server.resident_mib(), 1)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
