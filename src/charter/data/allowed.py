"""What no training row may say or ask, whoever wrote it: one gate for generated rows and for those that people accepted."""

from __future__ import annotations

from charter.core.rows import Example
from charter.data.care import REASON, must_drop, said
from charter.data.dedupe import HeldOut


def why_not_allowed(row: Example, held_out: HeldOut) -> str:
    """Why a row with its answer in ``target`` may not be trained on, as drops are counted; '' if it may. ``held_out``: the prompts of evaluations.
    No message may be like one, and no answer: an earlier turn and a quotation teach a prompt as well."""
    if must_drop(said(row.conversation, row.target)):
        return REASON
    if "\ufffd" in (row.target or ""):
        return "answer holds a broken character (U+FFFD)"
    if any(held_out.has_like(message.text) for message in row.conversation.messages):
        return "near-duplicate of an evaluation prompt"
    return "answer holds an evaluation prompt" if held_out.has_like(row.target or "") else ""
