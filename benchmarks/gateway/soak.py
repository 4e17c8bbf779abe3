"""A long run at a steady load: no error, no growth; a SIGTERM that loses no accepted request; two replicas on one PostgreSQL that agree.

Run: .venv/bin/python benchmarks/gateway/soak.py [--minutes 30] [--share 0.7] [--database URL] [--out FILE.json]

First the most that the gateway takes is measured (8 at a time, short), then ``--share`` of that is offered for ``--minutes``, streams and whole
answers mixed. With ``--database`` two replicas share it, requests go to both in turn, and the audit chain is verified at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _load
import _servers
from latency import prompt

TERM_REQUESTS = 12


def bodies(count: int, rng: random.Random) -> list[bytes]:
    """One stream for every three whole answers."""
    return [_load.request("words-40-0", prompt(60, rng), stream=n % 4 == 0) for n in range(count)]


def most(servers: list[_servers.Server], rng: random.Random) -> float:
    """Requests a second with 8 at a time."""
    asyncio.run(_load.closed(servers[0].url, bodies(20, rng), 4))
    began, done = time.monotonic(), 0
    while time.monotonic() - began < 5:
        done += len(asyncio.run(_load.closed(servers[done % len(servers)].url, bodies(60, rng), 8)).total_ms)
    return done / (time.monotonic() - began)


async def steady(
    servers: list[_servers.Server], per_second: float, seconds: float, rng: random.Random
) -> tuple[list[_load.Took], list[dict[str, Any]]]:
    """Offered load in slices of about 20 s; memory after each. The first slice warms up and is not compared."""
    slices, memory, began = [], [], time.monotonic()
    while time.monotonic() - began < seconds:
        span = min(20.0, max(1.0, seconds - (time.monotonic() - began)))
        each = [bodies(max(1, int(per_second * span / len(servers))), rng) for _ in servers]
        jobs = [_load.opened(server.url, todo, per_second / len(servers)) for server, todo in zip(servers, each, strict=True)]
        slices += await asyncio.gather(*jobs)
        memory.append({"minute": round((time.monotonic() - began) / 60, 2), "resident_mib": [round(s.resident_mib(), 1) for s in servers]})
    return slices, memory


async def terminated(server: _servers.Server, rng: random.Random) -> dict[str, Any]:
    """SIGTERM while slow streams run: each of them must end well."""
    took = _load.Took()
    clients = [_load.Client(server.url) for _ in range(TERM_REQUESTS)]

    async def one(client: _load.Client) -> bool:
        try:
            body = await client.post(_load.request("words-60-25", prompt(60, rng), stream=True), took)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            took.failed[type(error).__name__] = took.failed.get(type(error).__name__, 0) + 1
            return False
        for code in re.findall(rb'"code": ?"(\w+)"', body):
            took.failed[code.decode()] = took.failed.get(code.decode(), 0) + 1
        return b"[DONE]" in body

    tasks = [asyncio.create_task(one(client)) for client in clients]
    await asyncio.sleep(0.8)
    server.process.send_signal(signal.SIGTERM)
    whole = sum(await asyncio.gather(*tasks))
    code = await asyncio.to_thread(server.process.wait, 60)
    return {"accepted": TERM_REQUESTS, "ended_well": whole, "failed": took.failed, "exit_code": code}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--guard", default="default")
    parser.add_argument("--database", default="", help="URL of a PostgreSQL database that both replicas share")
    parser.add_argument("--out", type=Path, default=Path("gateway-soak.json"))
    given = parser.parse_args()
    rng = random.Random(3)
    found: dict[str, Any] = {"machine": _servers.machine(), "minutes": given.minutes}
    audit = [f"database: {{url: '{given.database}'}}"] if given.database else []
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(_servers.upstream())
        replicas = [stack.enter_context(_servers.gateway(behind.url, given.guard, lines=audit)) for _ in range(2 if given.database else 1)]
        found["most_per_second"] = round(most(replicas, rng), 1)
        slices, memory = asyncio.run(steady(replicas, given.share * found["most_per_second"], 60 * given.minutes, rng))
        merged = _load.Took([ms for took in slices for ms in took.total_ms])
        for took in slices:
            for name, count in took.failed.items():
                merged.failed[name] = merged.failed.get(name, 0) + count
        found["steady"] = merged.summary()
        settled = [sum(point["resident_mib"]) for point in memory[len(memory) // 4 :]] or [0.0]
        found["memory"] = {
            "first_mib": settled[0],
            "last_mib": settled[-1],
            "growth": round(settled[-1] / max(settled[0], 1) - 1, 4),
            "points": memory,
        }
        found["sigterm"] = asyncio.run(terminated(replicas[0], rng))
    if given.database:
        done = subprocess.run([sys.executable, "-m", "charter.cli", "audit", "verify", given.database], capture_output=True, text=True, check=False)
        found["audit"] = {"exit_code": done.returncode, "said": done.stdout[-300:]}
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    found["memory"].pop("points")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
