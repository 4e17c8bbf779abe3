"""What the card of weights must hold before they are loaded, and which heads it says were never taught. The shipped card's checksum is looked at; own
ones are their owners' to change, so anything may be wrong with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, OUTPUTS

#: Key of the heads that no row taught; a card without it was taught them all.
UNTAUGHT = "untaught"
#: What is served as toxicity is made of the content heads, by the calibration of this name.
SERVED, ANY_CONTENT = "toxicity", "moderation"
#: Heads that weights of an older Charter have not.
LATER = ("achieved", *OPERATOR_HEADS)
_FILES = ("classifier.onnx", "tokenizer.json")


def untaught_of(card: Mapping[str, Any]) -> frozenset[str]:
    """The heads, and codes of hazards, of which these weights say nothing: those that the card lists, and toxicity where the content heads that it is
    made of are not all taught."""
    listed = frozenset(card.get(UNTAUGHT, ()))
    listed |= frozenset(HAZARDS) if "hazards" in listed else frozenset()
    return listed | {SERVED, ANY_CONTENT} if listed & {*CONTENT_HEADS, ANY_CONTENT} else listed


def check_files(card: Mapping[str, Any]) -> None:
    """What is needed to run the network. Raises ValueError that says what is wrong."""
    files = mapping(card, "files")
    for name in _FILES:
        check(isinstance(files.get(name), str), f"files lacks {name}")
    check(all(isinstance(digest, str) for digest in files.values()), "files has a checksum that is no text")
    check(isinstance(card.get("length"), int) and 8 <= card["length"] <= 512, f"length is {card.get('length')!r}, no whole number of 8 to 512")
    mapping(card, "heads")
    mapping(card, "stacks")
    outputs = card.get("outputs")
    check(isinstance(outputs, list), "outputs is no list")
    missing = [name for name in OUTPUTS if name not in LATER and name not in (outputs or ())]
    check(not missing, f"outputs lacks {', '.join(missing)}")
    untaught = card.get(UNTAUGHT, [])
    check(isinstance(untaught, list) and all(isinstance(head, str) for head in untaught), f"{UNTAUGHT} is no list of heads")
    strange = [head for head in untaught if head not in (*OUTPUTS, ANY_CONTENT, "hazards")]
    check(not strange, f"{UNTAUGHT} names {', '.join(strange)}, which is no head")


def mapping(given: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
    """The mapping of a key. Raises ValueError where there is none; ``where``: what stands before the key in messages."""
    check(name in given, f"{where}{name} is missing")
    found: Any = given[name]
    check(isinstance(found, dict), f"{where}{name} is no mapping")
    return found  # type: ignore[no-any-return]


def check(true: bool, otherwise: str) -> None:
    """Raises ValueError with what is wrong ``otherwise``."""
    if not true:
        raise ValueError(otherwise)
