"""From a name or a file to a charter, and from a file to every mistake in it with its line."""

from __future__ import annotations

from pathlib import Path

from charter.core.config import Document, KeyPath, Problem, check, read_yaml
from charter.core.errors import InputError
from charter.policy.charter import Charter, CharterText, cross_problems
from charter.policy.wording import suggestion

_TEXTS = Path(__file__).parent / "texts"
_HINT = "charter check --init mine.yaml  # writes a short one to start from; docs/charter.md explains every key"


def shipped() -> list[str]:
    """Names of the charters that come with the package, sorted."""
    return sorted(path.stem for path in _TEXTS.glob("*.yaml"))


def shipped_text(name: str) -> str:
    """The file of a shipped charter, with its comments."""
    return (_TEXTS / f"{name}.yaml").read_text(encoding="utf-8")


def load_charter(spec: str | Path) -> Charter:
    """The charter named ``spec``: a shipped name, else the path of a YAML file.

    Raises InputError with one line per mistake (file, line, key), or with the shipped names if ``spec`` is neither.
    """
    path = _locate(spec)
    document = _open(path)
    problems = _problems(document)
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems), _HINT)
    return Charter.model_validate(document.data)


def check_charter(path: str | Path) -> list[Problem]:
    """Every mistake of a charter file, in the order of its lines; empty = it will load.

    Raises InputError only when there is no file to read.
    """
    file = _home(path)
    try:
        document = _open(file)
    except InputError as error:
        cause = error.__context__
        if cause is None or isinstance(cause, OSError):
            raise
        return [Problem(_line_of(cause), "", _without_place(error, file))]
    return _problems(document)


def _locate(spec: str | Path) -> Path:
    text = str(spec)
    if text in shipped():
        return _TEXTS / f"{text}.yaml"
    path = _home(spec)
    if path.suffix.lower() in (".yaml", ".yml") or len(path.parts) != 1 or path.exists():
        return path
    names = shipped()
    known = f"shipped: {', '.join(names)}"
    advice = suggestion(text.lower(), names)
    message = f"no charter is called {text!r}; {advice if advice.startswith('did') else 'it is no file either'} ({known})"
    raise InputError(message, f"give {names[0]!r}, or the path of a YAML file such as ./{text or 'mine'}.yaml")


def _home(spec: str | Path) -> Path:
    return Path(spec).expanduser() if str(spec).startswith("~/") else Path(spec)


def _open(path: Path) -> Document:
    try:
        return read_yaml(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", f"ls -l {path}") from error
    except (ValueError, RecursionError) as error:  # PyYAML lets these through for impossible dates and endless nesting
        raise InputError(f"{path}: not valid YAML: {error}", _HINT) from error


def _problems(document: Document) -> list[Problem]:
    _, problems = check(CharterText, document)
    crossed = [Problem(_line(document, path), ".".join(map(str, path)), text) for path, text in cross_problems(document.data)]
    return sorted([*problems, *crossed, *_for_none(document)], key=lambda problem: problem.line)


def _for_none(document: Document) -> list[Problem]:
    """Principles with an empty list of hazards, which would be for all of them. Of files alone: a charter in memory has an empty list for "all"."""
    principles = document.data.get("principles") if isinstance(document.data, dict) else None
    empty = [n for n, one in enumerate(principles if isinstance(principles, list) else []) if isinstance(one, dict) and one.get("hazards") == []]
    message = "is an empty list; name at least one hazard, or leave the key out for all of them"
    return [Problem(_line(document, ("principles", n, "hazards")), f"principles.{n}.hazards", message) for n in empty]


def _line(document: Document, path: KeyPath) -> int:
    return next((document.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in document.lines), 0)


def _line_of(cause: BaseException) -> int:
    """Line of a file that cannot be parsed at all (1-based; 0 = unknown)."""
    if isinstance(cause, UnicodeDecodeError):
        return cause.object[: cause.start].count(b"\n") + 1
    mark = getattr(cause, "problem_mark", None)
    return mark.line + 1 if mark else 0


def _without_place(error: InputError, file: Path) -> str:
    text = error.message.removeprefix(f"{file}: ")
    head, colon, rest = text.partition(": ")
    return rest if colon and head.startswith("line ") else text
