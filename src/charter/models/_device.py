"""Which processor and number format a local model runs with, and why. Imports torch only inside functions."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import NamedTuple

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


class Placement(NamedTuple):
    """``device`` and ``dtype`` as torch names them, and the reason in words."""

    device: str
    dtype: str
    reason: str


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Feature flags of the first processor; empty where the system does not tell."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    line = next((text for text in lines if text.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def cpu_placement(flags: frozenset[str] | None = None) -> Placement:
    """bf16 where the processor multiplies it in hardware, else float32: emulated bf16 is up to 100 times slower (docs/benchmarks.md)."""
    found = sorted(BF16_FLAGS & (cpu_flags() if flags is None else flags))
    if found:
        return Placement("cpu", "bfloat16", f"this {platform.machine()} processor has {found[0]}")
    return Placement("cpu", "float32", f"this {platform.machine()} processor has no bf16 arithmetic")


def placement() -> Placement:
    """Where and in what format to run: CUDA in bf16 if there is a GPU, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return Placement("cuda", "bfloat16", torch.cuda.get_device_name(0))
    return cpu_placement()
