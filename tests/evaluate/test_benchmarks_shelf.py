"""The contract of every file on the shelf of benchmarks: a new file is under test because it is there."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from charter.core import registry
from charter.core.errors import DataError

NAMES = registry.names("benchmarks")


def test_the_shelf_is_not_empty():
    assert "xstest" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_described_cited_and_buildable(name, tmp_path, monkeypatch):
    module = registry.find("benchmarks", name)
    first, *rest = (module.__doc__ or "").splitlines()
    assert first.endswith(".")
    assert "arxiv" in "\n".join(rest).lower()
    assert len(module.NOT_COVERED) > 20
    assert issubclass(module.Config, BaseModel)
    assert module.Config.model_config["extra"] == "forbid"
    json.dumps(module.Config.model_json_schema())
    monkeypatch.setenv("CHARTER_DATA", str(tmp_path))
    benchmark = module.build(module.Config())
    with pytest.raises(DataError) as error:
        benchmark.examples()
    assert "licence" in error.value.hint.lower() or "CC" in error.value.hint
    assert callable(benchmark.metrics)
    assert callable(benchmark.gold)
