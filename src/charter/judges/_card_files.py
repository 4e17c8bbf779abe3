"""Where judge cards lie: in the package for judges as they ship, in the folders of ``charter judges measure`` for every judge and setting."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from charter.core.errors import InputError
from charter.core.rows import content_id
from charter.core.shapes import Judge
from charter.judges._cards import Card
from charter.judges._judging import name_of
from charter.judges._pairs import build_measured

PACKAGED = Path(__file__).resolve().parent / "cards"
#: Where ``charter judges measure`` writes cards unless told otherwise, and where they are looked for.
MEASURED = Path("runs") / "judges" / "cards"


class Found(NamedTuple):
    """A judge's card, or why there is none to use."""

    card: Card | None
    why: str = ""


def card_of(judge: Judge, folders: Iterable[Path] = ()) -> Card | None:
    """The card of this very version of ``judge``, from ``folders`` or the package; None if there is none or it is stale."""
    return find_card(judge, folders).card


def find_card(judge: Judge, folders: Iterable[Path] = ()) -> Found:
    """``card_of``, with the reason where there is none. Raises InputError for a file that is no card."""
    stale = ""
    for folder in (*folders, PACKAGED):
        found = card_in(judge, folder)
        if found.card is not None:
            return found
        stale = stale or found.why
    return Found(None, stale or "never measured")


def card_in(judge: Judge, folder: Path) -> Found:
    """The card of this very version in one folder; without one, which others of the judge are there ('' for none). Raises InputError for a file
    that is no card."""
    stale = ""
    for path in _candidates(judge, folder):
        card = read_card(path)
        if (card.judge, card.version) == (judge.name, judge.version):
            return Found(card)
        why = f"the card in {folder.name}/{path.name} is of {card.judge}@{card.version}, the judge is @{judge.version}: stale, not used"
        stale = stale or (why if card.judge == judge.name else "")
    return Found(None, stale)


def _candidates(judge: Judge, folder: Path) -> list[Path]:
    """Files that may hold the judge's card, its own first; then the one that an earlier Charter wrote, and those of its other versions."""
    stem = file_name(judge.name).removesuffix(".json")
    others = [path for path in sorted(folder.glob(f"{stem}-????????.json")) if len(path.stem) == len(stem) + 9]
    return [path for path in dict.fromkeys([place_of(judge, folder), folder / f"{stem}.json", *others]) if path.is_file()]


def place_of(judge: Judge, folder: Path) -> Path:
    """The file in ``folder`` that this version's card is written to: the judge's name where it is one that ships with a card, set as it ships; else
    with a hash of its version behind, for one judge asks two models, or is set in two ways."""
    if folder.resolve() == PACKAGED or _as_shipped(judge):
        return folder / file_name(judge.name)
    return folder / f"{file_name(judge.name).removesuffix('.json')}-{content_id(name_of(judge))[:8]}.json"


def _as_shipped(judge: Judge) -> bool:
    return (PACKAGED / file_name(judge.name)).is_file() and build_measured(judge.name).version == judge.version


def card_folders(given: Path | None = None) -> tuple[Path, ...]:
    """Where to look for cards before the package: the folder that a user names, else that of ``charter judges measure`` where it is there. Raises
    InputError for a named one that is not there."""
    if given is not None and not given.is_dir():
        raise InputError(f"{given}: there is no such folder of judge cards", "charter judges measure JUDGE --cards FOLDER")
    return (given,) if given is not None else (MEASURED,) if MEASURED.is_dir() else ()


def read_card(path: Path) -> Card:
    """Raises InputError for a file that is no card."""
    try:
        return Card.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path}: is no judge card of this Charter", "charter judges measure JUDGE") from None


def cards(folder: Path = PACKAGED) -> list[Card]:
    """All cards of a folder, by name."""
    return [read_card(path) for path in sorted(folder.glob("*.json"))]


def file_name(judge: str) -> str:
    """A judge's name as a file name."""
    return "".join(c if c.isalnum() or c in "_-" else "-" for c in judge).strip("-")[:80] + ".json"
