"""Specs: which backend a text leads to, and what a wrong one is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charter.core.errors import InputError
from charter.core.shapes import Model
from charter.models import FORMS, load_model, route


@pytest.mark.parametrize(
    ("spec", "plugin", "argument"),
    [
        ("embedded", "embedded", ""),
        ("embedded:full", "embedded", "full"),
        ("scripted", "scripted", ""),
        ("scripted:rules.yaml", "scripted", "rules.yaml"),
        ("scripted:/a:b/rules.jsonl", "scripted", "/a:b/rules.jsonl"),
        ("hf:org/name", "hf", "org/name"),
        ("hf:./folder", "hf", "./folder"),
        ("hf:file.gguf", "hf", "file.gguf"),
        ("openai:gpt", "openai", "gpt"),
        ("openai:org/name@http://localhost:8000/v1", "openai", "org/name@http://localhost:8000/v1"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "hf", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("  org/name.v1_2-x ", "hf", "org/name.v1_2-x"),
    ],
)
def test_a_spec_leads_to_one_backend(spec: str, plugin: str, argument: str) -> None:
    assert route(spec) == (plugin, argument)


def test_a_folder_or_gguf_file_needs_no_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "final").mkdir(parents=True)
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    assert route("runs/final") == ("hf", "runs/final")
    assert route(str(tmp_path / "runs")) == ("hf", str(tmp_path / "runs"))
    assert route("tiny.gguf") == ("hf", "tiny.gguf")


def test_a_backend_wins_over_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scripted").mkdir()
    assert route("scripted") == ("scripted", "")
    assert route("./scripted").plugin == "hf"


@pytest.mark.parametrize(
    "spec", ["", "gpt-4", "what is this", "a/b/c", "org/name:tag", "no/such/folder/", "/no/such/folder", "missing.gguf", "org/missing.gguf"]
)
def test_an_unknown_spec_is_named_with_the_next_command(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        load_model(spec)
    assert repr(spec) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [("scriptd", "'scripted'"), ("embeded", "'embedded'"), ("oppenai:g@http://h/v1", "'openai:g@http://h/v1'"), ("OpenAI:x", "'openai:x'")],
)
def test_a_mistyped_backend_gets_the_nearest_and_all_forms(spec: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        load_model(spec)
    assert f"did you mean {nearest}?" in caught.value.message
    assert all(form in caught.value.message for form in FORMS)
    assert caught.value.hint == "charter doctor"


@pytest.mark.parametrize("spec", ["hf", "hf:", "openai", "openai:", "scripted:"])
def test_a_missing_argument_is_asked_for(spec: str) -> None:
    with pytest.raises(InputError, match="nothing stands after"):
        load_model(spec)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not \.gguf"):
        load_model(str(tmp_path / "weights.bin"))


def test_options_reach_the_backend_and_wrong_ones_are_named() -> None:
    model = load_model("scripted", default="Yes.")
    assert isinstance(model, Model)
    assert model.spec == "scripted"
    with pytest.raises(InputError, match="did you mean 'default'") as caught:
        load_model("scripted", defalt="Yes.")
    assert "Yes." not in str(caught.value)


def test_naming_models_imports_neither_torch_nor_openai() -> None:
    code = (
        "import sys, charter.models, charter.models.openai, charter.models._doctor\n"
        "charter.models.load_model('scripted'); charter.models.load_model('openai:m@http://localhost:1/v1')\n"
        "print(sorted({'torch', 'transformers', 'openai', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
