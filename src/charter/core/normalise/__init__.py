"""One plain form of a text, whatever it is disguised as, with the way back to the original.

``normalise`` gives the plain form (Unicode tricks, look-alike letters, pulled-apart and misspelt words undone) and the passages that were
encoded or hidden. ``views`` gives every form that a judge should read: the riskiest verdict holds, so a disguise gains nothing and a wrong guess
here costs nothing but a second reading. Linear in the text; nothing is fetched or executed.

Not covered: languages other than English in leet or run together, ciphers other than ROT13, words turned into pictures, and any encoding that
the list in ``schemes.py`` does not name.
"""

from __future__ import annotations

from charter.core.normalise.forms import Change, Decoded, Normalised, View, normalise, views

__all__ = ["Change", "Decoded", "Normalised", "View", "normalise", "views"]
