"""How Charter and its optional parts are installed, in one place: every hint says the same.

It is published nowhere yet. A command that named it as a package would fail, or install whatever a stranger puts up under that name; so hints are
for a clone of its repository.
"""

from __future__ import annotations

#: As pip knows what is installed.
DISTRIBUTION = "charter-align"
#: Puts the package's own files back.
RESTORE = "pip install --force-reinstall --no-deps .  # in the clone of Charter"


def install(extra: str, options: str = "") -> str:
    """The command that adds an optional part; ``options`` of pip end with a space."""
    return f"pip install {options}'.[{extra}]'  # in the clone of Charter"
