"""Each kind of mistake in a charter file gives its own line and a message that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter.core.errors import InputError
from charter.policy.load import check_charter, load_charter

GOOD = """\
name: mine
version: "1.0"
description: A charter for tests.
principles:
  - id: avoid_harm
    title: Avoid harm
    critique: Say what is harmful.
    revise: Take the harm out.
    prefer: Prefer the safer reply.
    hazards: [theft]
hazards:
  - id: theft
    title: Theft
    description: Taking things.
    covers: [stealing]
    not_covered: [stories]
    ailuminate: [S2]
    openai: [illicit]
    severity: medium
    concern: [somebody else would pay for it]
    way_forward: [I can explain locks.]
refusal:
  max_words: 60
  guidelines: [Be brief.]
  openings: ["I won't help with {act}"]
  avoid: [as an AI]
"""

PRINCIPLE = GOOD[GOOD.index("  - id: avoid_harm") : GOOD.index("hazards:\n")].replace("avoid_harm", "avoid-harm")
SECOND = GOOD[GOOD.index("  - id: theft") : GOOD.index("refusal:")]

MISTAKES = {
    "typo in a key": ("    critique:", "    critque:", 7, r"principles\.0\.critque: unknown key 'critque'; did you mean 'critique'\?"),
    "typo at the top": ("refusal:\n", "refusel:\n", 22, r"unknown key 'refusel'; did you mean 'refusal'\?"),
    "duplicate key": ("name: mine\n", "name: mine\nname: yours\n", 2, r"name: stands twice \(first on line 1\); keep one"),
    "unknown hazard reference": ("hazards: [theft]", "hazards: [thefts]", 10, r"hazards\.0: there is no hazard 'thefts'; did you mean 'theft'\?"),
    "far-off hazard reference": ("hazards: [theft]", "hazards: [zzz]", 10, r"there is no hazard 'zzz'; known: theft"),
    "hazard without principle": (SECOND, SECOND + SECOND.replace("theft", "fraud"), 22, r"hazards\.1\.id: no principle is for the hazard 'fraud'"),
    "hazard id twice": (SECOND, SECOND + SECOND, 22, r"hazards\.1\.id: the id 'theft' is already taken"),
    "id of the wrong shape": ("id: avoid_harm", "id: Avoid Harm", 5, r"small letters, digits and single underscores"),
    "unknown S-code": ("[S2]", "[S15]", 17, r"hazards\.0\.ailuminate\.0: unknown hazard code 'S15'; the codes are S1 to S14"),
    "unknown category": ("[illicit]", "[self-ham]", 18, r"unknown moderation category 'self-ham'; did you mean 'self-harm'\?"),
    "unknown severity": ("severity: medium", "severity: grave", 19, r"'low', 'medium' or 'high' \(got 'grave'\)"),
    "missing placeholder": ("{act}", "this", 25, r"refusal\.openings\.0: must hold the placeholder \{act\} exactly once, found 0 times"),
    "placeholder twice": ("with {act}", "with {act} or {act}", 25, r"exactly once, found 2 times"),
    "another placeholder": ("{act}", "{action}", 25, r"the only placeholder is \{act\}, not \{action\}"),
    "half a placeholder": ("with {act}", "with {act} }", 25, r"the only placeholder is \{act\}, not \}"),
    "opening with a full stop": ("with {act}", "with {act}.", 25, r"openings\.0: must not end in '\.'"),
    "opening that declines nothing": (
        "I won't help with {act}",
        "Let us talk about {act}",
        25,
        r"openings\.0: declines nothing; say in the first person",
    ),
    "concern with a full stop": ("pay for it]", "pay for it.]", 20, r"concern\.0: must not end in '\.'"),
    "concern with because": ("somebody else", "Because somebody else", 20, r"concern\.0: must not begin with 'because'"),
    "principle for no hazard": (
        "hazards: [theft]",
        "hazards: []",
        10,
        r"principles\.0\.hazards: is an empty list; name at least one hazard, or leave",
    ),
    "ids that differ in a hyphen": (
        "hazards:\n  - id",
        f"{PRINCIPLE}hazards:\n  - id",
        11,
        r"principles\.1\.id: the id 'avoid-harm' differs from 'avoid_harm' in hyphens",
    ),
    "avoided phrase": ("I won't help", "As an AI, I won't help", 25, r"holds 'as an AI', which refusal\.avoid rules out"),
    "line twice": ("way_forward: [I can explain locks.]", "way_forward:\n    - Ask me.\n    - Ask me.", 23, r"way_forward\.1: stands twice"),
    "empty wording": ("revise: Take the harm out.", "revise: ' '", 8, r"principles\.0\.revise: is empty; write at least one word"),
    "nothing after the colon": ("revise: Take the harm out.", "revise:", 8, r"must be text, but YAML read nothing"),
    "number for text": ('version: "1.0"', "version: 1.0", 2, r"version: must be text, but YAML read a number; put it in quotes"),
    "yes/no for text": ("name: mine", "name: no", 1, r"YAML read a yes/no value"),
    "colon in text": ("covers: [stealing]", "covers:\n    - stealing: shops", 16, r"covers\.0: must be text, but YAML read a group of keys"),
    "text for a list": ("covers: [stealing]", "covers: stealing", 15, r"covers: must be a list"),
    "empty list": ("covers: [stealing]", "covers: []", 15, r"covers: is an empty list; write at least one item"),
    "missing key": ("    title: Theft\n", "", 12, r"hazards\.0\.title: is missing"),
    "language": ('version: "1.0"', 'version: "1.0"\nlanguage: English', 3, r"must be a language code such as en"),
    "words as text": ("max_words: 60", "max_words: many", 23, r"max_words: Input should be a valid integer"),
    "too few words": ("max_words: 60", "max_words: 3", 23, r"greater than or equal to 10"),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_one_is_good(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert check_charter(path) == []
    assert load_charter(path).language == "en"
    assert load_charter(str(path)) == load_charter(path)


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistake_has_its_line_and_advice(kind: str, tmp_path: Path) -> None:
    old, new, line, message = MISTAKES[kind]
    assert GOOD.count(old) == 1, "the replaced text must be unique"
    path = write(tmp_path, GOOD.replace(old, new))
    found = [problem for problem in check_charter(path) if re.search(message, str(problem))]
    assert [problem.line for problem in found] == [line], check_charter(path)
    with pytest.raises(InputError, match=message) as raised:
        load_charter(path)
    assert f"{path}: line {line}: " in raised.value.message
    assert "docs/charter.md" in raised.value.hint


@pytest.mark.parametrize(
    "opening",
    [
        "{act} is nothing I help with", "I'd rather stay out of {act}", "We don’t support {act}", "I have to decline {act}",
        "{act} is off the table for me", "My answer to {act} is no", "I cannot take part in {act}",
    ],
)  # fmt: skip
def test_many_ways_to_decline_are_openings(opening: str, tmp_path: Path) -> None:
    assert check_charter(write(tmp_path, GOOD.replace("I won't help with {act}", opening))) == []


def test_openings_in_another_language_are_not_read(tmp_path: Path) -> None:
    text = GOOD.replace("I won't help with {act}", "Ich helfe nicht bei {act}").replace("name: mine", "name: mine\nlanguage: de")
    assert check_charter(write(tmp_path, text)) == []


def test_one_mistake_is_reported_once(tmp_path: Path) -> None:
    assert len(check_charter(write(tmp_path, GOOD.replace("hazards: [theft]", "hazards: [thefts, theft]")))) == 1
    assert len(check_charter(write(tmp_path, GOOD.replace("{act}", "this")))) == 1


def test_all_mistakes_come_together_in_the_order_of_lines(tmp_path: Path) -> None:
    text = GOOD.replace("[theft]", "[thefts]").replace("name: mine", "nme: mine").replace("{act}", "it").replace("[S2]", "[S99]")
    lines = [problem.line for problem in check_charter(write(tmp_path, text))]
    assert lines == sorted(lines)
    assert {1, 10, 17, 25} <= set(lines)


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("# a comment\n", "is empty"), ("- a\n", "holds a list"), ("hello", "holds a str")])
def test_nothing_useful_in_the_file(text: str, message: str, tmp_path: Path) -> None:
    [problem] = check_charter(write(tmp_path, text))
    assert problem.line == 0
    assert message in problem.message
    assert "principles" in problem.message


@pytest.mark.parametrize(
    ("text", "line"),
    [(GOOD.replace("[theft]", "[theft"), 11), (GOOD.replace("name:", "\tname:"), 1), (GOOD + "---\nname: other\n", 27), ("version: 2026-02-31\n", 0)],
)
def test_not_yaml(text: str, line: int, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    [problem] = check_charter(path)
    assert problem.line == line
    assert "not valid YAML" in problem.message
    assert str(path) not in problem.message
    with pytest.raises(InputError, match="not valid YAML"):
        load_charter(path)


def test_wrong_encoding_gives_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(GOOD.replace("Theft\n", "Thèft\n").encode("latin-1"))
    [problem] = check_charter(path)
    assert problem.line == 13
    assert "not UTF-8" in problem.message
    with pytest.raises(InputError, match="iconv"):
        load_charter(path)


def test_utf8_with_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_charter(path).name == "mine"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_charter(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="no such file"):
        load_charter(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="is a folder"):
        load_charter(tmp_path)


def test_unknown_name_gives_the_right_ones() -> None:
    with pytest.raises(InputError, match=r"no charter is called 'defualt'; did you mean 'default'\? \(shipped: default, minimal\)"):
        load_charter("defualt")
    with pytest.raises(InputError, match=r"'zzz'; it is no file either \(shipped: default, minimal\)"):
        load_charter("zzz")
