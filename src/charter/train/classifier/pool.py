"""The pool: every source that may be learned from, without what is evaluated, repeated, or never held; split by source into training and held-out."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charter.core.seeds import stream
from charter.data.care import must_drop
from charter.train.classifier import attacks, content, contrast, examples, pairing, replies, requests
from charter.train.classifier.evaluated import Evaluated, evaluation_texts
from charter.train.classifier.own import LIKE_HELD, Apart, Tell, watched
from charter.train.classifier.rows import LabelledText

#: Sources kept out of training to choose, calibrate and set operating points on. The starter set is split by topic.
HELD_OUT = frozenset({
    "dangerousqa", "gptfuzz_questions", "tdc2023", "bipia_attacks", "persistbench", "presidio_sentences", "agent_injections", "own_content_held",
    "own_quotes_held", "own_requests_held", "own_everyday_held",
})  # fmt: skip
#: Replies of the JailbreakBench artifacts: the final mix is set on them.
_MIX = ("jbb_JBC", "jbb_GCG", "jbb_DSN", "jbb_prompt_with_random_search")
#: One row in so many is held out.
_HELD_SHARE = {
    "rtp": 8, "davidson": 8, "toxigen": 4, "wildguard_benign": 3, "bipia_contexts": 2, "tulu_requests": 5, "tulu_replies": 5,
    "diasafety": 5, "pyrit_templates": 5, "sap": 5, "jbb_prompts": 5, "own_injection": 10, "own_jailbreak": 10, "own_trigger_words": 10,
}  # fmt: skip


class Pool(NamedTuple):
    """Rows to learn from, rows held out, what was left out (reason and source to count), and rows for the words beside the network alone."""

    train: list[LabelledText]
    held_out: list[LabelledText]
    dropped: dict[tuple[str, str], int]
    words: Sequence[LabelledText] = ()


def assemble(data: Path, seed: int, own: Iterable[LabelledText] = (), held: Apart | None = None, tell: Tell = lambda line: None) -> Pool:
    """Read, clean and split everything. Same data and seed, same rows in the same order. ``held``: what a user's own rows to calibrate on tell apart;
    no row like them is learned from. Raises DataError for sets that are not there."""
    evaluated = Evaluated(evaluation_texts(data))
    dropped: Counter[tuple[str, str]] = Counter()
    train: list[LabelledText] = []
    held_out: list[LabelledText] = []
    more: tuple[list[LabelledText], list[LabelledText]] = ([], [])
    seen: set[tuple[str, str | None, str | None]] = set()
    every = _all(data, seed, own)
    for row, out, late in every if held is None else watched(every, "public rows compared with the own rows held out", tell):
        if not row.text.strip() or row.key in seen:
            dropped["repeated", row.source] += 1
            continue
        seen.add(row.key)
        if must_drop(row.whole):
            dropped["care", row.source] += 1
            continue
        # the mix for replies is set on JailbreakBench's requests, which other evaluated replies answer too: their own replies are compared
        close = "" if row.reply is not None and row.source.startswith("jbb_") else evaluated.close_to(row.text)
        close = close or next((found for other in (row.reply, row.operator) if other and (found := evaluated.close_to(other))), "")
        if close:
            dropped[f"like {close}", row.source] += 1
            continue
        if held is not None and not out and held.is_held(row):
            dropped[LIKE_HELD, row.source] += 1
            continue
        (more if late else (train, held_out))[out].append(row)
    put_together(train, held_out, dropped, seed)  # of what the network learns from alone: other lines must not change its rows
    return Pool(train, [*held_out, *more[1]], dict(dropped), more[0])


def put_together(train: list[LabelledText], held: list[LabelledText], dropped: Counter[tuple[str, str]], seed: int) -> None:
    """Add rows that are made of several. Each part may be held; what they say together is looked at again."""

    def rng(name: str) -> random.Random:
        return stream(seed, "classifier", name)

    def add(rows: list[LabelledText], made: Iterable[LabelledText]) -> None:
        for row in list(made):
            if must_drop(row.whole):
                dropped["care", row.source] += 1
            else:
                rows.append(row)

    add(train, content.joined([r for r in train if r.source == "rtp"], rng("joined"), 1000))
    add(train, examples.among(train, rng("among"), 3000, "own_among"))
    add(held, examples.among(held, rng("among held"), 300, "own_among_held"))
    add(train, pairing.beside_operators(train, rng("beside"), 1200, "own_beside"))
    add(held, pairing.beside_operators(held, rng("beside held"), 800, "own_beside_held", longest=1000))
    add(train, pairing.other_replies(train, rng("other replies"), 400, "own_other_replies"))
    add(held, pairing.other_replies(held, rng("other replies held"), 80, "own_other_replies_held"))


def _all(data: Path, seed: int, own: Iterable[LabelledText]) -> Iterator[tuple[LabelledText, bool, bool]]:
    """Rows, whether each is held out, and whether it is none of the network's."""
    for split in ("train", "evaluation"):
        for row in requests.own_rows(split):
            yield row, split == "evaluation", False
        for row in replies.declined(split):
            yield row, split == "evaluation", False
    for row in own:
        yield row, False, False
    for row in _public(data, seed):
        share = _HELD_SHARE.get(row.source)
        out = row.source in HELD_OUT or row.source.endswith("_held") or row.source in _MIX or (share is not None and _part(row.text, share) == 0)
        yield row, out, False
    for row in examples.written(examples.FOR_WORDS):
        yield row, row.source.endswith("_held"), True


def _public(data: Path, seed: int) -> Iterator[LabelledText]:
    def rng(name: str) -> random.Random:
        return stream(seed, "classifier", name)

    asked = [*requests.pooled(data), *requests.red_instruct(data), *requests.star(data), *requests.more_harmless(data)]
    yield from asked
    questions = sorted({r.text for r in asked if r.reply is None and r.labels.get("harmful_request") == 1.0 and len(r.text) < 160})
    yield from attacks.jailbreaks(data, questions, rng("jailbreaks"))
    yield from attacks.injections(data, rng("injections"))
    yield from attacks.trigger_words(data, rng("trigger words"))
    yield from contrast.contents(rng("contrast content"))
    yield from contrast.requests(rng("contrast requests"))
    yield from contrast.everyday(rng("everyday"), attacks.passages(data))
    yield from examples.written()
    yield from attacks.agent_injections(data)
    yield from content.sap(data, rng("sap"))
    yield from content.perspective(data)
    yield from content.hate(data, rng("hate"))
    yield from content.talk(data, rng("talk"))
    yield from replies.gptfuzz(data, rng("replies"), 1100)
    yield from replies.jailbroken(data)


def _part(text: str, parts: int) -> int:
    return zlib.crc32(" ".join(text.lower().split()).encode("utf-8", "surrogatepass")) % parts
