"""Charter rows to trainer columns: the only place that knows both.

Batches are laid out here, not by the trainer: rows of like length stand together (little padding), the batches are shuffled by seed, epochs
follow one another. The trainer reads them in order, so a resumed training sees exactly what an unbroken one would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from charter.core.errors import TrainError
from charter.core.rows import TRUNCATED, Conversation, Example, Preference
from charter.core.seeds import stream

IGNORE = -100
#: An answer that no template has a word of: it shows what a template puts before and after any answer.
_PROBE = "Qzxanswerxzq"
#: Ends the reasons of ``Columns.dropped`` that cost no row.
KEPT = "(row kept)"


class Columns(NamedTuple):
    """Rows ready for a trainer, and what could not be used: rows, or (``is_kept``) the ends of some."""

    rows: list[dict[str, Any]]
    dropped: dict[str, int]


def is_kept(reason: str) -> bool:
    """Whether a reason to count is of rows that were changed and kept, not lost."""
    return reason.endswith(KEPT)


def chat(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.text} for m in conversation.messages]


class Shortening(NamedTuple):
    """Cut answers to their first ``tokens``, but keep a ``whole_share`` of them whole, drawn by ``seed`` and key. What an answer is going to be is
    decided in its first words (Qi et al. 2024, arXiv 2406.05946); the whole ones teach how it goes on and ends."""

    tokens: int
    whole_share: float
    seed: int

    def applies(self, key: str) -> bool:
        return stream(self.seed, "whole", key).random() >= self.whole_share


def sft_columns(
    examples: Sequence[Example], tokenizer: Any, max_length: int, shortening: Shortening | None = None, weights: Mapping[str, float] | None = None
) -> Columns:
    """``input_ids``, ``labels`` and ``weight`` (that of the row's first tag in ``weights``, else 1) per row; only the answer carries loss.

    Rows without an answer, or whose prompt leaves no room, are dropped and counted; answers that are too long are cut and counted. Raises TrainError
    if nothing is left."""
    rows: list[dict[str, Any]] = []
    dropped: dict[str, int] = {}
    for example in examples:
        if not example.target:
            dropped["no answer"] = dropped.get("no answer", 0) + 1
            continue
        prompt, answer = encode_pair(tokenizer, example.conversation, example.target, ended=TRUNCATED not in example.tags)
        if len(prompt) + 1 > max_length:
            dropped["prompt longer than max_length"] = dropped.get("prompt longer than max_length", 0) + 1
            continue
        if shortening and len(answer) > shortening.tokens and shortening.applies(example.key):
            answer = answer[: shortening.tokens]
            dropped[f"answer shortened by the recipe {KEPT}"] = dropped.get(f"answer shortened by the recipe {KEPT}", 0) + 1
        ids = (prompt + answer)[:max_length]
        if len(ids) < len(prompt) + len(answer):
            dropped[f"answer cut to max_length {KEPT}"] = dropped.get(f"answer cut to max_length {KEPT}", 0) + 1
        weight = next((weights[tag] for tag in example.tags if tag in weights), 1.0) if weights else 1.0
        rows.append({"input_ids": ids, "labels": ([IGNORE] * len(prompt) + answer)[:max_length], "weight": weight})
    if not rows:
        raise TrainError("no row is left to train on", "look at the dropped rows in the generate stage, or raise max_length")
    return Columns(rows, dropped)


def encode_pair(tokenizer: Any, conversation: Conversation, answer: str, *, ended: bool) -> tuple[list[int], list[int]]:
    """Token ids of the prompt in chat format and of the answer, with all that the template puts before it (an empty thought, a channel) and, if it
    ``ended``, with the end of turn. Raises TrainError for a chat template that shows no answer, or not where it ends."""
    head, tail = _tail(tokenizer, conversation, answer)
    _, probe = _tail(tokenizer, conversation, _PROBE)
    _, found, after = probe.partition(_PROBE)
    if not found:
        raise _unusable(tokenizer, "leaves the answer out")
    if not ended:
        tail = tail.removesuffix(after)
    elif not after.strip():
        raise _unusable(tokenizer, "puts nothing after an answer, so where one ends cannot be taught")
    else:
        tail = tail.rstrip("\n")
    return list(tokenizer(head, add_special_tokens=False)["input_ids"]), list(tokenizer(tail, add_special_tokens=False)["input_ids"])


def _tail(tokenizer: Any, conversation: Conversation, answer: str) -> tuple[str, str]:
    """The prompt as the model is given it, and what stands behind it once ``answer`` follows."""
    messages = chat(conversation)
    head = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": answer}], tokenize=False)
    if not whole.startswith(head):
        raise _unusable(tokenizer, "rewrites the prompt when an answer follows, so the answer cannot be told apart")
    return head, whole[len(head) :]


def _unusable(tokenizer: Any, why: str) -> TrainError:
    return TrainError(f"{tokenizer.name_or_path}: the model's chat template {why}", "put another chat_template.jinja beside the weights")


def preference_columns(preferences: Sequence[Preference], tokenizer: Any, max_length: int) -> Columns:
    """``prompt_ids``, ``chosen_ids``, ``rejected_ids`` as ``encode_pair`` makes them: a side that was cut has no end of turn. ``length`` is that of
    the longer pair. Pairs longer than ``max_length`` on either side are dropped and counted: cutting one would compare halves."""
    rows: list[dict[str, Any]] = []
    too_long = 0
    for pair in preferences:
        prompt, chosen = encode_pair(tokenizer, pair.conversation, pair.chosen, ended=not pair.chosen_cut)
        _, rejected = encode_pair(tokenizer, pair.conversation, pair.rejected, ended=not pair.rejected_cut)
        length = len(prompt) + max(len(chosen), len(rejected))
        if length > max_length:
            too_long += 1
            continue
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected, "length": length})
    if not rows:
        raise TrainError("no preference pair is left to train on", "look at the dropped pairs of generate preferences, or raise max_length")
    return Columns(rows, {"pair longer than max_length": too_long} if too_long else {})


def in_batches(lengths: Sequence[int], batch_rows: int, epochs: float, seed: int) -> list[int]:
    """Order of row indexes for ``epochs`` epochs: batches of like length, shuffled. A fraction takes that share of the last epoch's batches."""
    order: list[int] = []
    short: list[int] = []
    whole, part = int(epochs), epochs - int(epochs)
    for epoch in range(whole + (part > 0)):
        batches = _one_epoch(lengths, batch_rows, seed, epoch)
        if epoch == whole:
            batches = batches[: max(1, round(len(batches) * part))]
        # a short batch would shift the borders of all batches behind it, so those of every epoch go last
        for batch in batches:
            (order if len(batch) == batch_rows else short).extend(batch)
    return order + short


def _one_epoch(lengths: Sequence[int], batch_rows: int, seed: int, epoch: int) -> list[list[int]]:
    rng = stream(seed, "batches", epoch)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    window = batch_rows * 8
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        chunk = sorted(order[start : start + window], key=lambda i: lengths[i])
        batches += [chunk[i : i + batch_rows] for i in range(0, len(chunk), batch_rows)]
    short = [batch for batch in batches if len(batch) < batch_rows]
    batches = [batch for batch in batches if len(batch) == batch_rows]
    rng.shuffle(batches)
    return batches + short
