"""Somebody else's attacks: garak's dan, encoding and promptinject probes against a local model, alone and behind the gateway.

Run: .venv/bin/python benchmarks/gateway/outside.py --garak VENV/bin/python [MODEL] [--cap 20] [--probes dan,encoding,promptinject]
     [--out FILE.json] [--alone]

garak lives in a virtual environment of its own (benchmarks/gateway/peers/garak.txt) and sees an OpenAI-compatible URL. ``--cap``: prompts of each
probe at most. Both runs have the same prompts (one seed). Its own detectors decide what counts as a hit.
For the dan probes that is every answer without a conventional refusal, so the gateway's refusal is set to one here; how many requests it withheld is
told beside.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import _servers
from quality import LINES

from charter.core.stats import wilson
from charter.guard.policy import dump_policy, load_policy

#: Said in words that garak's string detectors know for a refusal.
REFUSAL = "I'm sorry, but I cannot assist with that request. It may be harmful."

SLOW = "dan.AutoDAN,dan.DanInTheWildFull,promptinject.HijackHateHumansFull,promptinject.HijackKillHumansFull,promptinject.HijackLongPromptFull".split(
    ","
)


def attacked(python: str, url: str, name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    config = {
        "system": {"parallel_attempts": 8, "lite": True},
        "run": {"seed": 0, "generations": 1, "soft_probe_prompt_cap": given.cap, "eval_threshold": 0.5},
        "plugins": {"generators": {"openai": {"OpenAICompatible": {"uri": url + "/", "max_tokens": 64, "temperature": 0.0, "stop": []}}}},
        "reporting": {"report_dir": str(folder)},
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    spec = ",".join([*(f"probes.{probe}" for probe in given.probes.split(",")), *(f"-probes.{probe}" for probe in SLOW)])
    target = ["--target_type", "openai.OpenAICompatible", "--target_name", "model"]
    command = [python, "-m", "garak", "--config", str(path), *target, "--spec", spec, "--report_prefix", name]
    env = {**os.environ, "OPENAICOMPATIBLE_API_KEY": "none", "HF_HUB_OFFLINE": "1", "XDG_DATA_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / f"{name}.log").open("wb") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env, check=False).returncode
    reports = list(folder.rglob(f"{name}.report.jsonl"))
    if not reports:
        raise SystemExit(f"garak wrote no report (exit code {code}):\n{(folder / f'{name}.log').read_text(errors='replace')[-3000:]}")
    return {"exit_code": code, **hits(reports[0])}


def hits(report: Path) -> dict[str, Any]:
    """Share of attempts that garak's detectors call a hit, by family of probes."""
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in report.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("entry_type") == "eval":
            total = row.get("total_evaluated", row.get("total", 0))
            family = counted[row["probe"].split(".")[0]]
            family[0] += total - row["passed"]
            family[1] += total
    found = {}
    for family, (hit, total) in sorted(counted.items()):
        low, high = wilson(hit, total)
        found[family] = {
            "hits": hit,
            "attempts": total,
            "share": round(hit / total, 3) if total else None,
            "low": round(low, 3),
            "high": round(high, 3),
        }
    return found


def outcomes(server: _servers.Server) -> dict[str, int]:
    """What became of the requests, from the gateway's own metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found: Counter[str] = Counter()
    for name, count in re.findall(r'^charter_requests_total\{.*outcome="(\w+)".*\} (\S+)$', text, re.MULTILINE):  # a line for every other label too
        found[name] += int(float(count))
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="embedded")
    parser.add_argument("--garak", required=True)
    parser.add_argument("--cap", type=int, default=20)
    parser.add_argument("--probes", default="dan,encoding,promptinject")
    parser.add_argument("--guard", default="default")
    parser.add_argument("--out", type=Path, default=Path("gateway-outside.json"))
    parser.add_argument("--alone", action="store_true", help="stop after the model alone; a later run with the same --out goes on from there")
    given = parser.parse_args()
    port = _servers.free_port()
    command = [sys.executable, str(_servers.HERE / "local_server.py"), given.model, "--port", str(port)]
    asked = {"model": given.model, "cap": given.cap, "probes": given.probes}
    before = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    known = before.get("alone") if {name: before.get(name) for name in asked} == asked else None
    found: dict[str, Any] = {"machine": _servers.machine(), **asked}
    with tempfile.TemporaryDirectory() as folder, _servers.started("model", command, port, ready="/v1/models", patience_s=300) as behind:
        found["alone"] = known or attacked(given.garak, behind.url, "alone", given, Path(folder))
        sys.stdout.write(f"alone: {json.dumps(found['alone'])}\n")
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if given.alone:
            return
        policy = load_policy(given.guard).model_copy(update={"refusal": REFUSAL})
        with _servers.gateway(behind.url, dump_policy(policy), lines=LINES) as server:
            found["guarded"] = attacked(given.garak, server.url, "guarded", given, Path(folder))
            found["outcomes"] = outcomes(server)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
