"""The errors a person can do something about, named by the boundary that was crossed.

Every ``CharterError`` prints as one clear line plus the next command to type; it never shows a traceback. To add one: inherit from
``CharterError``, keep it picklable (plain string arguments), and give it an exit code of its own if a script could want to tell it apart.
"""

from __future__ import annotations

#: Exit codes of the ``charter`` command; documented in README and docs/summary.md.
EXIT_PASSED = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_GATE_FAILED = 3


class CharterError(Exception):
    """A mistake or a missing thing that the person at the keyboard can put right."""

    exit_code = EXIT_ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.hint}" if self.hint else self.message


class InputError(CharterError, ValueError):
    """A file, row, key or argument is wrong."""

    exit_code = EXIT_USAGE


class MissingPartError(CharterError, ImportError):
    """An optional part of Charter is not installed."""


class ModelError(CharterError):
    """A model could not be found, loaded or reached."""


class NoModelError(ModelError):
    """The model cannot be had at all: every other question would fail in the same way."""


class StoreError(CharterError):
    """Rows could not be read or written (no space, no right, another recipe's folder)."""


class DataError(InputError):
    """A data set is missing or a row of it is broken."""


class TrainError(CharterError):
    """Training could not start or went wrong (no rows left, loss not finite)."""
