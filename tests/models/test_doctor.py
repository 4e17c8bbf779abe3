"""What ``charter doctor`` reports, on this machine and on ones made up."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement

from charter.models import _doctor
from charter.models._doctor import Check, diagnose


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_torch")
def test_every_check_has_a_detail_and_a_failed_one_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "not" / "made" / "yet"))
    checks = diagnose()
    names = [check.name for check in checks]
    assert names[:6] == ["python", "processor", "memory", "disk (cache)", "disk (here)", "gpu"]
    assert names[-2:] == ["embedded model", "hub"]
    assert len(set(names)) == len(names)
    assert all(check.detail for check in checks)
    assert all(check.fix for check in checks if not check.ok)
    assert not (tmp_path / "not").exists()


def find(name: str) -> Check:
    return next(check for check in diagnose() if check.name == name)


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("flags", "dtype"), [({"avx2"}, "float32"), ({"avx2", "avx512_bf16"}, "bfloat16"), ({"amx_bf16"}, "bfloat16"), (set(), "float32")]
)
def test_the_processor_tells_the_number_format(monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str) -> None:
    monkeypatch.setattr(_doctor, "cpu_flags", lambda: frozenset(flags))
    detail = find("processor").detail
    assert f"models run in {dtype}" in detail
    assert all(flag in detail for flag in flags)
    assert ("small models only" in detail) == (dtype == "float32")


def test_a_containers_memory_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000000\n")
    low = _doctor._memory(tmp_path / "memory.max")
    assert not low.ok
    assert low.detail.startswith("1.0 GB (a container's limit")
    (tmp_path / "memory.max").write_text("max\n")
    assert _doctor._memory(tmp_path / "memory.max") == _doctor._memory(tmp_path / "none")


def test_a_full_or_closed_disk_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=0.5e9))
    assert [check.ok for check in _doctor._disks()] == [False, False]
    monkeypatch.undo()
    monkeypatch.setattr(_doctor.os, "access", lambda path, mode: False)
    assert all("may not write" in check.detail for check in _doctor._disks())


def test_the_gpu_is_told_from_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda index: SimpleNamespace(name="Big GPU", total_memory=80e9)
    )
    monkeypatch.setattr(_doctor, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert _doctor._gpu() == Check("gpu", True, "Big GPU, 80 GB")
    torch.cuda = SimpleNamespace(is_available=lambda: False)
    assert "run on the processor" in _doctor._gpu().detail
    monkeypatch.setitem(sys.modules, "torch", None)
    broken = _doctor._gpu()
    assert not broken.ok
    assert "pip install" in broken.fix


@pytest.mark.usefixtures("no_torch")
def test_missing_and_old_packages_get_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "torch":
            raise PackageNotFoundError(name)
        return {"trl": "0.1"}.get(name) or version(name)

    monkeypatch.setattr(_doctor.metadata, "version", installed)
    train = find("extra train")
    assert not train.ok
    assert "torch missing" in train.detail
    assert "trl 0.1 (needs " in train.detail
    assert train.fix == "pip install '.[train]'  # in the clone of Charter"


def test_an_extra_takes_in_the_extras_it_names() -> None:
    needs = [Requirement(text) for text in ("core>=1", 'a==1; extra == "x"', 'charter-align[x]; extra == "y"', 'b; extra == "y"')]
    assert sorted(_doctor._of_extra("x", needs)) == ["a"]
    assert sorted(_doctor._of_extra("y", needs)) == ["a", "b"]


def test_a_local_version_tag_fits_its_pin() -> None:
    assert _doctor._extra("x", {"charter-align": Requirement("charter-align>=0")}).ok
    assert Requirement("torch==2.13.0").specifier.contains("2.13.0+cpu", prereleases=True)


@pytest.mark.parametrize(("value", "told"), [("1", "HF_HUB_OFFLINE is set"), ("0", "is not set"), ("", "is not set")])
def test_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch, value: str, told: str) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert told in _doctor._hub().detail
    assert "not probed" in _doctor._hub().detail
