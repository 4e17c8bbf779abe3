"""What names a model in a run folder: every file that decides what it says, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from charter.models import _identity
from charter.models._identity import identity, weights_hash

FILES = {
    "model.safetensors": "w",
    "pytorch_model.bin": "w",
    "config.json": "{}",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "chat_template.jinja": "{{ m }}",
    "chat_templates/tool_use.jinja": "{{ t }}",
    "spiece.model": "s",
    "merges.txt": "a b",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_decides_what_a_model_says_is_in_its_identity(model: Path, name: str) -> None:
    before = identity(str(model))
    assert before == f"{model}#{weights_hash(model)}"
    (model / name).write_text(FILES[name] + " ")
    changed = identity(str(model))
    (model / name).unlink()
    assert len({before, changed, identity(str(model))}) == 3


@pytest.mark.parametrize("name", ["README.md", "results.json", "training_args.bin", "trainer_state.json"])
def test_what_lies_beside_a_model_is_not(model: Path, name: str) -> None:
    before = identity(str(model))
    (model / name).write_text("{}")
    assert identity(str(model)) == before


def test_a_model_is_the_same_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    assert weights_hash(shutil.copytree(model, tmp_path / "copy")) == weights_hash(model)


def test_a_gguf_file_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    found = []
    for spec in (str(file), f"hf:{file}"):
        for text in ("1", "2"):
            file.write_text(text)
            os.utime(file, ns=(int(text), int(text)))
            found.append(identity(spec).rpartition("#")[::2])
    assert found[0][0] == str(file)
    assert found[0][1] != found[1][1]
    assert found[0][1] == found[2][1]


@pytest.mark.parametrize("spec", ["embedded", "embedded:full", "scripted", "openai:m@http://127.0.0.1:1/v1", "hf:org/name", "org/name", "no such"])
def test_other_models_go_by_their_names(spec: str) -> None:
    assert identity(spec) == spec


def test_a_file_is_read_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = weights_hash(model)
    monkeypatch.setattr(_identity.hashlib, "file_digest", None)
    assert weights_hash(model) == first
