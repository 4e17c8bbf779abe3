"""What the default rails add: to whole requests alone and under load, and to the first text of a stream.

Run: .venv/bin/python benchmarks/gateway/latency.py [--pairs 200] [--seconds 60] [--guard FILE] [--audit off] [--stub-encoder] [--out FILE.json]

Alone: each request goes to the model server and through the gateway in turn, and the medians are compared; requests differ, so that no verdict
comes from the cache. Under load: requests come at random times, whatever the answers do. Needs a quiet machine with two cores:
``encoder_window_ms`` (before and after) says whether it was one.
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

_SENTENCES = """We moved to a small house near the coast last spring and the garden needs a lot of work.
My neighbour keeps bees, and she says that lavender and thyme would do well in the dry corner.
The soil is sandy, so water runs through it quickly and the tomatoes look thirsty by noon.
I have read that mulch helps, but I am not sure whether straw or bark is better here.
Last year a late frost took most of the blossoms on the old apple tree.
There is a shed with a leaking roof where we keep the tools and two bicycles.
Our daughter would like a swing, and the only strong branch hangs over the path.
The fence on the north side leans a little more after every storm.
We could collect rain from the roof, if we knew how large a barrel should be.
In the evenings there is a cold wind from the sea that bends the young plants.
The previous owner left a list of bulbs, but the rain washed half of it away.
A friend gave us raspberry canes that are still waiting in their pots.
We are away for two weeks in August and nobody can water while we are gone.
The compost heap is slow, perhaps because we only put leaves and coffee on it.
Somebody told us to test the soil first, which sounds sensible and a bit tedious.
The terrace gets sun until three and is in the shade of the church after that.""".splitlines()


def prompt(tokens: int, rng: random.Random) -> str:
    """An everyday question of about so many tokens (a common word is one), and never the same twice."""
    words: list[str] = []
    while len(words) < tokens * 0.85 - 12:
        words += rng.choice(_SENTENCES).split()
    return f"{' '.join(words[: int(tokens * 0.85)])} What would you do first with {rng.randrange(10**6)} square feet?"


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
    parser.add_argument("--audit", default="strict", choices=("strict", "relaxed", "off"))
    parser.add_argument("--stub-encoder", action="store_true", help="an encoder that takes no time: what is not its own")
    parser.add_argument("--out", type=Path, default=Path("gateway-latency.json"))
    given = parser.parse_args()
    rng = random.Random(1)
    found: dict[str, Any] = {"machine": _servers.machine(), "guard": given.guard, "audit": given.audit, "stub_encoder": given.stub_encoder}
    found["encoder_window_ms"] = [_servers.window_ms()]
    lines = (f"audit: {{mode: '{given.audit}'}}",)
    with _servers.upstream() as behind, _servers.gateway(behind.url, given.guard, lines=lines, stub_encoder=given.stub_encoder) as server:
        found["start_s"] = round(server.started_s, 1)
        asyncio.run(alone(behind.url, server.url, [_load.request("words-20-0", prompt(100, rng)) for _ in range(10)]))  # warm
        for tokens in (100, 1000):
            # a short reply: what is measured is the check of the request; replies are measured by the streams below
            bodies = [_load.request("words-5-0", prompt(tokens, rng)) for _ in range(given.pairs)]
            cpu_s = server.cpu_exact_s()
            found[f"alone_{tokens}_tokens"] = asyncio.run(alone(behind.url, server.url, bodies))
            found[f"alone_{tokens}_tokens"]["cpu_ms_per_request"] = round(1000 * (server.cpu_exact_s() - cpu_s) / len(bodies), 2)
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
    found["encoder_window_ms"].append(_servers.window_ms())
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
