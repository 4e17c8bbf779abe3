"""Texts whose words are disguised (invisible or look-alike letters, digits for letters, letters apart), and what they say in plain letters."""

from __future__ import annotations

import re

from charter.core.normalise import normalise

#: What a disguise leaves in a text: letters that English does not use, signs for letters inside a word, letters apart.
_DISGUISE = re.compile(
    r"[^\x00-\x7f‘’“”–—…£€°©®™•]|[a-z][0134578@$!|*][a-z]|(?<!\w)[0-9@$]+[a-z]|(?<![a-z])[a-z]([ ._*-][a-z]){2}(?![a-z])", re.IGNORECASE
)


def may_be_disguised(text: str) -> bool:
    """Whether ``undisguised`` is worth its time: most texts hold nothing that a disguise leaves."""
    return bool(_DISGUISE.search(text))


def undisguised(text: str) -> tuple[str, ...]:
    """The text in its plain form, and then what was encoded in it."""
    found = normalise(text.replace("_", " "))
    return (found.text, *(passage.text for passage in found.decoded))
