"""Text from models and files made fit to be looked at, on a page or a terminal."""

from __future__ import annotations

import re

# Controls, bidirectional overrides, zero-width and tag characters, half surrogates: they can reorder or hide what a reader sees, or steer a
# terminal. The two joiners stay, because scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """``text`` with line ends made ``\\n`` and every invisible character named, such as ``[U+202E]``."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", plain)
