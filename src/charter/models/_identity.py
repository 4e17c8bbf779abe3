"""What names a model in a run folder. Local weights are named by what is in their files, so that rows of a changed model are never mixed with the
old one's. A model on the hub or behind a URL goes by its name alone: what stands behind that cannot be seen from here."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from charter.core.errors import InputError, ModelError
from charter.models._written import lasting, read_written

#: Files that decide what a model says: weights, settings, tokenizer, chat templates. Others, such as results put beside them, may come and go.
PATTERNS = (
    "*.safetensors", "*.bin", "*.gguf", "*.index.json", "config.json", "generation_config.json", "adapter_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model", "*.tiktoken",
    "chat_template.json", "*.jinja", "chat_templates/*.jinja",
)  # fmt: skip
#: What trainers leave beside the weights under a weights' ending.
LEFTOVERS = frozenset({"training_args.bin", "optimizer.bin", "scheduler.bin"})


def identity(spec: str) -> str:
    """``lasting(spec)``, and for a local folder or GGUF file ``#`` and ``weights_hash``. Raises ModelError for a file that cannot be read."""
    try:
        plugin, argument, _ = read_written(spec)
    except InputError:
        return spec
    path, name = Path(argument).expanduser(), lasting(spec)
    return f"{name}#{weights_hash(path)}" if plugin == "hf" and path.exists() else name


def weights_hash(model: Path) -> str:
    """16 hex digits of SHA-256 over the names and contents of the files of ``PATTERNS`` in a folder, in name order, or of the one file. A file is
    read once per process unless its size or time changes. Raises ModelError for a file that cannot be read."""
    files = {file for pattern in PATTERNS for file in model.glob(pattern)} if model.is_dir() else {model}
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.name not in LEFTOVERS):
        name = file.relative_to(model).as_posix() if file != model else ""
        try:
            found = file.stat()
            digest.update(f"{name}\0{_file_hash(file.absolute(), found.st_size, found.st_mtime_ns)}\n".encode())
        except OSError as error:
            raise ModelError(f"{file}: cannot be read: {error.strerror}", f"ls -l {file}") from None
    return digest.hexdigest()[:16]


@cache
def _file_hash(file: Path, size: int, time_ns: int) -> str:
    """``size`` and ``time_ns`` only tell one state of the file from another."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
