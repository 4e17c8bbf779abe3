"""The gateway starts under the filter of system calls that the shipped systemd unit sets."""

from __future__ import annotations

import ctypes.util
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "deploy/systemd/charter-gateway.service").read_text(encoding="utf-8")
PORT = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
#: Sets the filter (argv: errno or 0 for kill, names of system calls), shows that it bites, and becomes the gateway.
UNDER_FILTER = """
import ctypes, ctypes.util, os, sys
number, config, names = int(sys.argv[1]), sys.argv[2], sys.argv[3].split()
seccomp = ctypes.CDLL(ctypes.util.find_library("seccomp"), use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(0x00050000 | number if number else 0x80000000)))
for name in names:
    call = seccomp.seccomp_syscall_resolve_name(name.encode())
    if call >= 0 and seccomp.seccomp_rule_add(context, ctypes.c_uint32(0x7FFF0000), call, 0) != 0:
        sys.exit(f"no rule for {name}")
if seccomp.seccomp_load(context) != 0:
    sys.exit("the filter cannot be set")
mbind = seccomp.seccomp_syscall_resolve_name(b"mbind")
print("refused", ctypes.CDLL(None, use_errno=True).syscall(mbind, 0, 0, 0, 0, 0, 0), ctypes.get_errno(), flush=True)
os.execv(sys.executable, [sys.executable, "-m", "charter.cli", "serve", "--config", config])
"""


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def test_a_call_that_is_filtered_is_an_error_and_no_death() -> None:
    """numpy asks for memory on its own node (mbind, of @resources): killed for it, the gateway never starts."""
    assert values("SystemCallFilter"), "the unit filters"
    assert values("SystemCallErrorNumber") == ["EPERM"]


def test_the_processor_can_be_read() -> None:
    """onnxruntime picks its kernels by /proc/cpuinfo."""
    assert values("ProcSubset") == []
    assert values("ProtectProc") == ["invisible"]


def test_the_key_that_the_unit_speaks_of_is_the_one_that_its_configuration_reads() -> None:
    from charter.guard.gateway.config import load_config

    (installed,) = re.findall(r"install .* (deploy/gateway/\w+\.yaml) /etc/charter/gateway\.yaml", UNIT)
    (named,) = re.findall(r"/etc/charter/environment +# (\w+)=", UNIT)
    assert named == load_config(ROOT / installed).upstream.key_env


def allowed() -> list[str]:
    """System calls that ``SystemCallFilter`` lets through, by systemd's own lists."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    groups: dict[str, list[str]] = {}
    for line in listed.splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def calls(name: str) -> set[str]:
        return {call for member in groups[name] for call in calls(member)} if name.startswith("@") else {name}

    found: set[str] = set()
    for line in values("SystemCallFilter"):
        named = set().union(*map(calls, line.removeprefix("~").split()))
        found = found - named if line.startswith("~") else found | named
    return sorted(found)


def test_the_gateway_starts_under_the_filter(tmp_path: Path) -> None:
    if sys.platform != "linux" or shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None:
        pytest.skip("systemd or libseccomp is not installed")
    config = tmp_path / "gateway.yaml"
    config.write_text(f"listen: {{port: 0}}\ndatabase: {{url: {tmp_path / 'gateway.db'}}}\nmetrics: {{port: 0}}\n", encoding="utf-8")
    number = errno.EPERM if values("SystemCallErrorNumber") else 0
    environ = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    told = tmp_path / "told"
    with told.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", UNDER_FILTER, str(number), str(config), " ".join(allowed())], stdout=file, stderr=file, env=environ
        )
    try:
        ends = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < ends and not PORT.search(told.read_text(encoding="utf-8")):
            time.sleep(0.2)
        text = told.read_text(encoding="utf-8")
        if "the filter cannot be set" in text:
            pytest.skip("this machine lets nobody set a filter")
        found = PORT.search(text)
        assert found, f"{process.poll()}: {text}"
        assert text.startswith("refused -1 1\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/readyz", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, told.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
