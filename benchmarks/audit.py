"""Rows a second that the audit log makes durable, one fsync for many: ``python benchmarks/audit.py [--postgres URL] [--rows 50000]``.

Every row is what the gateway writes for a check with eight rails; ``--waiting`` requests wait for their row at a time, as in strict mode. The rows
are then verified, so a rate is never that of rows that were lost. SQLite's file lies in ``--folder``: measure on the disk that it will live on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from charter.store.audit import AuditLog, Row
from charter.store.audit_verify import verify
from charter.store.database import Database

RAILS = [{"rail": f"rail-{n}", "status": "ok", "action": "allow", "ms": 1.234, "score": 0.0123, "threshold": 0.8} for n in range(8)]
BODY: dict[str, Any] = {
    "v": 1, "kind": "decision", "began_unix_ms": 1_790_000_000_000, "decision_id": "0192aa00-0000-7000-8000-000000000000", "endpoint": "chat",
    "model": "a-model-of-some-name", "key": "web-app", "policy": "default@1+0123456789abcdef", "stage": "input", "subject": "0123456789abcdef",
    "action": "allow", "by": [], "unavailable": False, "bypass": [], "masks": 0, "review": "", "check_ms": 8.123, "rails": RAILS,
}  # fmt: skip


async def fill(log: AuditLog, rows: int, waiting: int) -> list[float]:
    """Milliseconds that each row took to be durable."""
    took: list[float] = []

    async def one(first: int) -> None:
        for n in range(first, rows, waiting):
            began = time.perf_counter()
            await asyncio.wait_for(asyncio.wrap_future(log.append(Row(f"request-{n}", BODY))), 60)
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(one(n) for n in range(waiting)))
    return took


def measure(target: str, rows: int, waiting: int) -> dict[str, Any]:
    database = Database(target)
    before = verify(database).rows
    log = AuditLog(database)
    began, cpu = time.perf_counter(), time.process_time()
    took = sorted(asyncio.run(fill(log, rows, waiting)))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    log.close()
    began = time.perf_counter()
    found = verify(database)
    walked = time.perf_counter() - began
    if found.broken is not None or found.rows != before + rows:
        raise SystemExit(f"{database.name}: {found.rows - before} of {rows} rows are whole: {found.why}")
    database.close()
    return {
        "database": "sqlite" if "://" not in target else "postgresql",
        "rows": rows,
        "waiting": waiting,
        "rows_per_s": round(rows / seconds),
        "p50_ms": round(took[len(took) // 2], 2),
        "p99_ms": round(took[int(len(took) * 0.99)], 2),
        "cpu_us_per_row": round(cpu_s / rows * 1e6, 1),
        "verified_rows_per_s": round(found.rows / walked),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--waiting", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--folder", type=Path, help="where SQLite's file lies (default: a temporary folder)")
    parser.add_argument("--postgres", default="", help="URL of an empty database")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder, prefix="charter-audit-"))
    results = []
    try:
        for waiting in given.waiting:
            rows = given.rows if waiting > 1 else max(1, given.rows // 50)
            for target in [str(folder / "audit.db"), *([given.postgres] if given.postgres else [])]:
                results.append(measure(target, rows, waiting))
                sys.stdout.write(json.dumps(results[-1]) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.out is not None:
        versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "machine": platform.platform()}
        given.out.write_text(json.dumps({"versions": versions, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
