"""What the gateway costs without rails: processor time per request and per chunk of a stream, beside LiteLLM's proxy in the same run.

Run: .venv/bin/python benchmarks/gateway/overhead.py [--requests 2000] [--litellm VENV/bin/python] [--litellm-requests 300] [--out FILE.json]

A loopback model server that costs next to nothing stands behind both. Processor time is that of the gateway's process and its children, so a busy
machine changes it little; latencies need a quiet one. Bars: at most 0.5 ms per request and 50 us per chunk; at least 20 times less than LiteLLM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import _load
import _servers

CHUNKS = 100
PROMPT = "Tell me, please, how a gateway works and what it costs. " * 30  # 1.7 KB


def measure(server: _servers.Server, requests: int, key: str = "") -> dict[str, Any]:
    """CPU of unary requests, and of streams whose chunks come at once and 5 ms apart."""
    found: dict[str, Any] = {"start_s": round(server.started_s, 1)}
    run(server, [_load.request("words-100-0", PROMPT)] * max(20, requests // 10), key)  # warm
    took, cpu_s = run(server, [_load.request("words-100-0", PROMPT)] * requests, key)
    found["unary"] = {**took.summary(), "cpu_us_per_request": round(1e6 * cpu_s / max(1, len(took.total_ms)), 1)}
    for name, delay in (("stream_at_once", 0), ("stream_5_ms_apart", 5)):
        bodies = [_load.request(f"words-{CHUNKS}-{delay}", PROMPT, stream=True)] * max(8, requests // 20)
        run(server, bodies[:8], key)
        took, cpu_s = run(server, bodies, key)
        each = 1e6 * cpu_s / max(1, len(took.total_ms))
        found[name] = {
            **took.summary(),
            "chunks": took.chunks,
            "first_text_p50_ms": took.p(0.5, "first_ms"),
            "cpu_us_per_stream": round(each, 1),
            "cpu_us_per_chunk": round((each - found["unary"]["cpu_us_per_request"]) / CHUNKS, 1),
        }
    took = asyncio.run(_load.closed(server.url, [_load.request("words-100-0", PROMPT)] * max(20, requests // 5), 1, key))
    found["one_at_a_time"] = took.summary()
    found["resident_mib"] = round(server.resident_mib(), 1)
    return found


def run(server: _servers.Server, bodies: list[bytes], key: str) -> tuple[_load.Took, float]:
    before = server.cpu_exact_s()
    took = asyncio.run(_load.closed(server.url, bodies, 8, key))
    return took, server.cpu_exact_s() - before


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--litellm", default="", help="Python of a virtual environment with benchmarks/gateway/peers/litellm.txt")
    parser.add_argument("--litellm-requests", type=int, default=300)
    parser.add_argument("--only", choices=["charter", "litellm"], default=None)
    parser.add_argument("--out", type=Path, default=Path("gateway-overhead.json"))
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": _servers.machine()}
    with _servers.upstream() as behind:
        found["direct"] = measure(behind, given.requests)
        if given.only != "litellm":
            for name, mode in (("charter", "off"), ("charter, audit strict", "strict")):
                with _servers.gateway(behind.url, _servers.NO_RAILS, lines=[f"audit: {{mode: '{mode}'}}"]) as server:
                    found[name] = measure(server, given.requests)
        if given.litellm and given.only != "charter":
            with _servers.litellm(given.litellm, behind.url) as server:
                found["litellm"] = measure(server, given.litellm_requests, _servers.LITELLM_KEY)
    if {"charter", "litellm"} <= set(found):
        ours, theirs = (found[name]["unary"]["cpu_us_per_request"] for name in ("charter", "litellm"))
        found["times_less_cpu_per_request"] = round(theirs / ours, 1)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
