"""The shipped encoder: tokens to raw numbers for every output, with onnxruntime and tokenizers; no torch.

Every window goes through the network by itself: int8 activations are scaled by all that stands in one call, so in a batch a score would depend on
its neighbours. A call of one window costs no more (measured in ``benchmarks/classifier.py``): nothing is padded, and it stays in the cache. Windows
go to ``threads`` workers at once; one by itself may take two threads (``_network``).
"""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from charter.core import stopping
from charter.core.errors import InputError, MissingPartError, ModelError
from charter.core.installing import RESTORE
from charter.core.processors import processors
from charter.judges._card_check import UNTAUGHT, check_files
from charter.judges._network import Network
from charter.judges._plain_pieces import PlainPieces, fits
from charter.judges._sentences import Seen, weigher
from charter.judges._windows import Window, cut_long_words, operator_windows, reply_windows, text_windows
from charter.judges._words import Words

WEIGHTS = Path(__file__).with_name("weights")
CARD = "classifier.json"
#: What the words say beside the network; weights that were made before it have none.
WORDS = "words.npz"
RETRAIN = "charter train classifier RECIPE --out FOLDER, or leave weights empty for the shipped ones"
FORMAT = 2
#: What the card of own weights says where no row like those of evaluated sets was learned from or calibrated on.
COMPARED = "compared"
#: SHA-256 of the shipped weights' card, which holds those of the files beside it, the calibration and the operating points. Whoever ships other
#: weights writes theirs here.
SHIPPED = "cd088604e0e7b229c5ef711ebeb41ed4788e777c84c35f39d4c6cce6953bea22"
#: Characters of a text that is cut into tokens without letting other threads go on meanwhile: they would not soon give the interpreter back.
SHORT = 2000
#: Windows whose numbers are kept: about 1 KB each.
KEPT = 2048
#: Short texts whose tokens are kept, by the text's hash: a request is read again beside its reply. And windows whose words' numbers are.
CUT = 32
K = TypeVar("K")
V = TypeVar("V")
_Key = tuple[bytes, int]


class Tokens(NamedTuple):
    """Token ids of a text, and where in the text each one starts and ends."""

    ids: list[int]
    offsets: Sequence[tuple[int, int]]


class Encoder:
    """Raw numbers (n, outputs) of windows. ``card`` is the JSON beside the weights; ``version`` is the hash of the files."""

    def __init__(self, folder: Path = WEIGHTS, threads: int = 0) -> None:
        self.folder, self.card = folder, read_card(folder)
        files = checked_files(folder, self.card)
        self.version = version_of(self.card)
        self.outputs: tuple[str, ...] = tuple(self.card["outputs"])
        self.length = int(self.card["length"])
        self._threads = threads or min(2, processors())
        self._tokenizer = _tokenizer(files["tokenizer.json"])
        self._network = Network(files["classifier.onnx"], self._threads)
        # the shipped tokenizer, whose checksum was looked at, is of the kind that fits
        self._plain = PlainPieces(self._encode) if folder == WEIGHTS or fits(self._tokenizer.to_str()) else None
        self._cls, self._sep = (int(self._tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]"))
        #: Word pieces by number: the tokenizer takes twenty times as long to say one.
        self._pieces = lru_cache(maxsize=None)(self._tokenizer.id_to_token)
        self._weigher = weigher(self._network, self._tokenizer)
        self._words = _words(files[WORDS], self) if WORDS in files else None
        #: Whether kinds of content are looked for in passages: weights without words were calibrated on the highest window.
        self.passages = self._words is not None
        self._kept: Kept[_Key, Seen] = Kept(KEPT)
        self._said: Kept[_Key, NDArray[np.float32]] = Kept(CUT)
        self._cut: Kept[bytes, Tokens] = Kept(CUT)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text. Half surrogates become U+FFFD; runs of letters without a space are cut (see ``_windows``)."""
        if len(texts) == 1 and len(texts[0]) <= SHORT:
            key = hashlib.sha256(texts[0].encode("utf-8", "surrogatepass")).digest()
            known = self._cut.get([key]) or {key: self._short(texts[0])}
            self._cut.put(known)
            return [known[key]]
        return self._tokens(texts, lambda given: self._tokenizer.encode_batch(given, add_special_tokens=False))

    def _short(self, text: str) -> Tokens:
        plain = None if self._plain is None or cut_long_words(text).cuts else self._plain(text)
        return Tokens(*plain) if plain is not None else self._tokens([text], lambda given: [self._encode(given[0])])[0]

    def _encode(self, text: str) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _tokens(self, texts: Sequence[str], encode: Callable[[list[str]], list[Any]]) -> list[Tokens]:
        cuts = [cut_long_words(_whole(text)) for text in texts]
        found = encode([c.text for c in cuts])
        return [Tokens(e.ids, e.offsets if not c.cuts else c.originals(e.offsets)) for e, c in zip(found, cuts, strict=True)]

    def text(self, tokens: Tokens) -> list[Window]:
        return text_windows(tokens.ids, self._cls, self._sep, self.length)

    def reply(self, request: Tokens, reply: Tokens) -> list[Window]:
        return reply_windows(request.ids, reply.ids, self._cls, self._sep, self.length)

    def beside(self, operator: Tokens, text: Tokens) -> list[Window]:
        return operator_windows(operator.ids, text.ids, self._cls, self._sep, self.length)

    def part(self, window: Window, start: int, end: int) -> Window:
        """A window of some of the tokens of a text's window, alone."""
        return Window([self._cls, *window.ids[start + 1 : end + 1], self._sep], [0] * (end - start + 2), window.start + start, window.start + end)

    def token(self, number: int) -> str | None:
        """The word piece of a number."""
        piece: str | None = self._pieces(number)
        return piece

    def words(self, window: Window) -> NDArray[np.float32]:
        """What the words of a window add to its raw numbers: (outputs,), part of what ``run`` gives. Kept for a while: another thread may ask for it
        while the network reads the window."""
        if self._words is None:
            return np.zeros(len(self.outputs), np.float32)
        key = _key(window)
        known = self._said.get([key])
        if not known:
            self._said.put(known := {key: self._words.numbers(window)})
            known[key].flags.writeable = False
        return known[key]

    def run(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """Raw numbers, in the order of ``windows``; equal windows are read once, and lately read ones not again: a guard reads a request before it is
        answered and beside its reply. A window's numbers do not depend on the others."""
        return np.stack([seen.numbers for seen in self.see(windows)]) if windows else np.zeros((0, len(self.outputs)), np.float32)

    def see(self, windows: Sequence[Window]) -> list[Seen]:
        """As ``run``, with what the sentences of a text's window say among their neighbours. Each window is kept as soon as it is read: where nobody
        waits any more (StoppedError), a second try goes on from there."""
        keys = [_key(window) for window in windows]
        unique = dict(zip(keys, windows, strict=True))
        rows = self._kept.get(unique)
        missing = [key for key in unique if key not in rows]
        wanted = stopping.checker()

        def read(key: _Key) -> Seen:
            wanted()
            seen = self._call(unique[key], len(missing) == 1)
            self._kept.put({key: seen})
            return seen

        if self._threads == 1 or len(missing) < 2:
            fresh = {key: read(key) for key in missing}
        else:  # workers of this call only: they would not survive a fork of the process
            with ThreadPoolExecutor(min(self._threads, len(missing))) as workers:
                # the longest first, so that no worker is left alone with one at the end
                order = sorted(missing, key=lambda k: -len(k[0]))
                fresh = dict(zip(order, workers.map(read, order), strict=True))
        rows |= fresh
        return [rows[key] for key in keys]

    def forget(self) -> None:
        """Read every window anew from here on: for measurements."""
        for kept in (self._kept, self._said, self._cut):
            kept.clear()
        if self._plain is not None:
            self._plain.forget()

    def _call(self, window: Window, alone: bool) -> Seen:
        ids, segments = np.array([window.ids], np.int32), np.array([window.segments], np.int32)
        feed = {"input_ids": ids, "token_type_ids": segments, "position_ids": np.arange(ids.shape[1], dtype=np.int32)}
        spans = self._weigher.spans(window) if self._weigher is not None else []
        names = ["logits", self._weigher.vectors] if self._weigher is not None and spans else ["logits"]
        out = self._network.run(names, feed, alone=alone)
        numbers: NDArray[np.float32] = out[0][0] + self.words(window)
        if not np.isfinite(numbers).all():  # a score of it would be under every threshold, and read as safe
            raise ModelError("the classifier's network gave something that is no number", RESTORE)
        return Seen(numbers, spans, self._weigher.weigh(out[1][0], spans) if self._weigher is not None and spans else numbers[None, :0])


def _words(path: Path, encoder: Encoder) -> Words:
    try:
        return Words(path, encoder.outputs, encoder._pieces)
    except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"{path}: not a weight file of this version of Charter", _way_back(path.parent)) from None


def _key(window: Window) -> _Key:
    return np.array(window.ids, np.int32).tobytes(), len(window.segments) - sum(window.segments)


class Kept(Generic[K, V]):
    """What was read last, for many threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._rows: OrderedDict[K, V] = OrderedDict()

    def get(self, keys: Iterable[K]) -> dict[K, V]:
        with self._lock:
            found = {key: self._rows[key] for key in keys if key in self._rows}
            for key in found:
                self._rows.move_to_end(key)
        return found

    def put(self, rows: Mapping[K, V]) -> None:
        with self._lock:
            self._rows.update(rows)
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()


@cache
def shipped() -> Encoder:
    """The shipped encoder, loaded once in a process."""
    return Encoder()


def read_card(folder: Path) -> dict[str, Any]:
    """The JSON beside the weights. Raises InputError when it is not there, not of this format, or the shipped one was altered: other operating points
    would call safe what these do not."""
    try:
        held = (folder / CARD).read_bytes()
        card: dict[str, Any] = json.loads(held)
        if card["format"] != FORMAT:
            raise KeyError("format")
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder / CARD}: is missing or not of this version of Charter", _way_back(folder)) from None
    if folder == WEIGHTS and hashlib.sha256(held).hexdigest() != SHIPPED:
        raise InputError(f"{folder / CARD}: the classifier's weights were altered (the card's checksum differs)", RESTORE)
    try:
        check_files(card)
    except ValueError as error:
        raise InputError(f"{folder / CARD}: {error}", _way_back(folder)) from None
    return card


def version_of(card: dict[str, Any]) -> str:
    """Format and hash of everything that decides a verdict: the files, the calibration, the operating points, and what was not taught."""
    text = json.dumps({k: card[k] for k in ("files", "heads", "stacks", UNTAUGHT) if k != UNTAUGHT or card.get(k)}, sort_keys=True)
    return f"{card['format']}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _way_back(folder: Path) -> str:
    return RESTORE if folder == WEIGHTS else RETRAIN


def checked_files(folder: Path, card: Mapping[str, Any]) -> dict[str, Path]:
    """The files of a card, by name. Raises InputError where one is missing or is another one than the card says."""
    return {name: _checked(folder / name, digest) for name, digest in card["files"].items()}


def _checked(path: Path, digest: str) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise InputError(f"{path}: the classifier's weights are missing", _way_back(path.parent)) from None
    if found != digest:
        raise InputError(f"{path}: the classifier's weights were altered (checksum differs from {CARD})", _way_back(path.parent))
    return path


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingPartError(f"{error.name} is not installed; the classifier runs on it", "pip install onnxruntime tokenizers") from None
    found = Tokenizer.from_file(str(path))
    found.no_padding()
    found.no_truncation()
    return found


def _whole(text: str) -> str:
    return text if text.isascii() else "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
