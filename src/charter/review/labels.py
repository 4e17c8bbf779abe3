"""What a person says about an item of the gateway's queue: its request, its reply or both are safe, unsafe, or more than this person can say.

A decision is the ``Decision`` row that ``queue`` writes too: the action that the label asks for, ``by`` whom, and one verdict for each labelled part,
with the part as its ``label`` and the person as its judge.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

from charter.core.errors import InputError
from charter.core.normalise.fold import seen
from charter.core.rows import Conversation, Decision, Finding, Verdict
from charter.core.visible import visible
from charter.store.decisions import Filed, Made

Part = Literal["request", "reply"]
Label = Literal["safe", "unsafe", "unsure"]
PARTS: tuple[Part, ...] = get_args(Part)
LABELS: tuple[Label, ...] = get_args(Label)
#: The judge of a person's verdicts.
PERSON = "person"
#: Characters that a comment and a reviewer's name may have.
MOST_COMMENT, MOST_NAME = 2000, 64
_HAZARD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ACTIONS: Mapping[Label, Literal["allow", "block", "escalate"]] = {"safe": "allow", "unsafe": "block", "unsure": "escalate"}
_EXAMPLE = "charter review decide ID --label unsafe --reviewer NAME"


def conversation_of(finding: Finding, part: Part) -> Conversation:
    """The conversation up to the request, or with the reply."""
    return finding.conversation if part == "reply" or finding.goal == "input" else finding.conversation.without_reply


def parts_of(finding: Finding) -> tuple[Part, ...]:
    """What there is to label. Where a request was checked, words that it puts into the model's mouth belong to it."""
    return PARTS if finding.goal != "input" and finding.conversation.reply is not None else ("request",)


def read_labels(given: Sequence[str], finding: Finding) -> dict[Part, Label]:
    """``unsafe`` is about what was checked, ``request=unsafe`` and ``reply=safe`` say what they are about. Raises InputError for anything else."""
    if not given:
        raise InputError("a decision needs a label", f"{_EXAMPLE}; or --label request=unsafe --label reply=safe")
    here = parts_of(finding)
    found: dict[str, str] = {}
    for text in given:
        name, _, label = text.rpartition("=")
        part = name or here[-1]
        if label not in LABELS or part not in PARTS:
            raise InputError(f"{text[:60]!r} is no label; known: {', '.join(LABELS)}, and request=... and reply=... before one", _EXAMPLE)
        if part not in here:
            raise InputError("this item has no reply: what was checked is the request", _EXAMPLE.replace("unsafe", "request=unsafe"))
        if found.setdefault(part, label) != label:
            raise InputError(f"two labels for the {part}: {found[part]} and {label}", "give one --label for the request and one for the reply")
    return cast(dict[Part, Label], found)


def decide(finding: Finding, labels: Mapping[Part, Label], reviewer: str, hazard: str = "", comment: str = "") -> Made:
    """What ``reviewer`` decided, now. Raises InputError for a name, a hazard or a comment that cannot be kept."""
    if not seen(reviewer) or len(reviewer) > MOST_NAME or not reviewer.isprintable() or visible(reviewer) != reviewer:
        raise InputError(
            f"a decision needs a reviewer: a name of 1 to {MOST_NAME} printable characters", "--reviewer NAME, or export CHARTER_REVIEWER=NAME"
        )
    if hazard and not _HAZARD.fullmatch(hazard):
        raise InputError(f"{hazard[:60]!r} is no hazard's name: letters, digits, _ . and -, at most 64", "--hazard violent_crime")
    if hazard and "unsafe" not in labels.values():
        raise InputError("a hazard belongs to something unsafe", f"{_EXAMPLE} --hazard {hazard}; or leave --hazard out")
    if len(comment) > MOST_COMMENT:
        raise InputError(f"a comment has at most {MOST_COMMENT} characters, and this one has {len(comment)}", "a shorter --comment")
    verdicts = tuple(_verdict(finding, part, labels[part], hazard) for part in PARTS if part in labels)
    decision = Decision(subject=finding.conversation.id, action=_ACTIONS[verdicts[-1].outcome], by=(reviewer,), verdicts=verdicts)  # type: ignore[index]
    return Made(reviewer, time.time(), decision, _plain(comment))


def _verdict(finding: Finding, part: Part, label: Label, hazard: str) -> Verdict:
    subject, hazards = conversation_of(finding, part).id, (hazard,) if hazard and label == "unsafe" else ()
    return Verdict(subject=subject, outcome=label, label=part, hazards=hazards, judge=PERSON, judge_version="1")


def said_of(decisions: Sequence[Decision], part: str) -> set[str]:
    """Every label that people gave the part."""
    return {verdict.outcome for decision in decisions for verdict in decision.verdicts if verdict.label == part}


def state_of(decisions: Sequence[Decision]) -> str:
    """What an item is after these: disputed where people contradict each other, and still pending where nobody could say."""
    said = [said_of(decisions, part) for part in PARTS]
    if any({"safe", "unsafe"} <= labels for labels in said):
        return "disputed"
    return "decided" if any(labels & {"safe", "unsafe"} for labels in said) else "pending"


def told(decision: Decision) -> str:
    """'request=unsafe reply=safe', with the hazards."""
    labels = " ".join(f"{verdict.label}={verdict.outcome}" for verdict in decision.verdicts)
    hazards = sorted({hazard for verdict in decision.verdicts for hazard in verdict.hazards})
    return labels + (f" ({', '.join(hazards)})" if hazards else "")


def reason_of(item: Filed) -> str:
    """Why a person should look, in a few words: which rail and hazards, or what users reported it as."""
    if item.finding is None:
        return f"{item.row['why']}, {item.row['hazard']}".rstrip(", ")
    verdict = item.finding.verdict
    if item.row["why"] == "report":
        return "reported: " + (", ".join(sorted({each.category for each in item.said if each.kind == "report"})) or verdict.label)
    reports = sum(each.kind == "report" for each in item.said)
    words = [f"{item.row['why']} by {verdict.judge}", ", ".join(verdict.hazards), f"{reports} reports" if reports else ""]
    return "; ".join(word for word in words if word)


def _plain(text: str) -> str:
    """Without what a database does not take."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
