"""A person's own test set: every broken row is named before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.core.errors import EXIT_USAGE, DataError
from charter.data.prompts import FORM, read_prompts

GOOD = '{"id": "x", "prompt": "How do I bake bread?", "harmful": false}'


def rows(n: int, broken: dict[int, str] | None = None) -> str:
    lines = [json.dumps({"id": f"a{i}", "prompt": f"Prompt {i}?", "harmful": i % 2 == 0, "hazard": "privacy"}) for i in range(1, n + 1)]
    for number, line in (broken or {}).items():
        lines[number - 1] = line
    return "\n".join(lines) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.jsonl"


def message(file: Path, data: bytes) -> str:
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_prompts(file)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.hint
    assert str(file) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


def test_good_rows_become_examples_in_order(file: Path) -> None:
    file.write_text(rows(3) + '\n  \n{"id": 7, "prompt": " Näytä\\u2028? ", "harmful": true, "hazard": null}', encoding="utf-8")
    examples, dropped = read_prompts(file)
    assert [e.key for e in examples] == ["a1", "a2", "a3", "7"]
    assert [(e.harmful, e.hazard) for e in examples[1:]] == [(True, "privacy"), (False, "privacy"), (True, "")]
    assert examples[3].prompt == " Näytä\u2028? "
    assert (examples[3].source.dataset, examples[3].source.row) == ("mine.jsonl", "6")
    assert dropped == {}


@pytest.mark.parametrize("text", ["\ufeff" + rows(2), rows(2).replace("\n", "\r\n"), "\n\n" + rows(2).strip(), "\ufeff\r\n" + rows(2)])
def test_marks_and_line_ends_of_other_systems_are_read(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    assert [e.key for e in read_prompts(file).examples] == ["a1", "a2"]


def test_row_17_of_40_is_named(file: Path) -> None:
    data = rows(40, {17: '{"id": "a17", "prompt": "cut off', 30: "also broken"}).encode()
    assert message(file, data).startswith(f"{file}: row 17: is not valid JSON")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"prompt": "x", "harmful": true}', "'id' is missing"),
        ('{"id": "x", "harmful": true}', "'prompt' is missing"),
        ('{"id": "x", "prompt": "x"}', "'harmful' is missing"),
        ('{"id": "x", "prompt": "x", "harmful": true, "lang": "en"}', "unknown key 'lang'; known: id, prompt, harmful, hazard"),
        ('{"id": "a1", "prompt": "x", "harmful": true}', "id 'a1' stands already on row 1"),
        ('{"id": null, "prompt": "x", "harmful": true}', "'id' must be a text or a number"),
        ('{"id": true, "prompt": "x", "harmful": true}', "'id' must be a text or a number"),
        ('{"id": "x", "prompt": null, "harmful": true}', "'prompt' must be text that is not empty"),
        ('{"id": "x", "prompt": "  \\n", "harmful": true}', "'prompt' must be text that is not empty"),
        ('{"id": "x", "prompt": "\\u200b\\u2060", "harmful": true}', "'prompt' must be text that is not empty"),
        ('{"id": "x", "prompt": "x", "harmful": true, "harmful": false}', "the key 'harmful' stands twice"),
        ('{"id": "x", "prompt": ["x"], "harmful": true}', "'prompt' must be text that is not empty"),
        ('{"id": "x", "prompt": "x", "harmful": null}', "'harmful' must be true or false, not null"),
        ('{"id": "x", "prompt": "x", "harmful": 1}', "'harmful' must be true or false, not 1"),
        ('{"id": "x", "prompt": "x", "harmful": "true"}', "'harmful' must be true or false, not \"true\""),
        ('{"id": "x", "prompt": "x", "harmful": true, "hazard": 3}', "'hazard' must be text"),
        ('{"id": "x", "prompt": "x", "harmful": true, "hazard": false}', "'hazard' must be text"),
        ('{"id": "x", "prompt": "x", "harmful": true, "hazard": []}', "'hazard' must be text"),
        ('{"id": "x", "prompt": "half \\ud800", "harmful": true}', "'prompt' holds half of a \\u pair"),
        ('{"id": "\\udfff", "prompt": "x", "harmful": true}', "'id' holds half of a \\u pair"),
        ('["x"]', "is a list, not an object"),
        ("null", "is a NoneType, not an object"),
        ('{"id": "x", "prompt": "x", "harmful": True}', "is not valid JSON (Expecting value at column"),
        ("{'id': 'x'}", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"id": ' + "9" * 5000 + ', "prompt": "x", "harmful": true}', "is not valid JSON"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(file: Path, line: str, what: str) -> None:
    found = message(file, rows(4, {3: line}).encode())
    assert found.startswith(f"{file}: row 3: ")
    assert what in found


def test_the_form_in_the_hint_is_itself_right(file: Path) -> None:
    file.write_text(FORM, encoding="utf-8")
    assert read_prompts(file).examples[0].hazard == "privacy"


@pytest.mark.parametrize("data", [b"", b"\n\n  \n", "\ufeff".encode()])
def test_an_empty_file_is_named(file: Path, data: bytes) -> None:
    assert message(file, data) == f"{file}: holds no rows"


@pytest.mark.parametrize(("before", "row"), [("", 1), (GOOD + "\n", 2), ("\ufeff" + GOOD + "\n\n", 3), ("\ufeff\n", 2)])
def test_another_encoding_is_named_with_its_row(file: Path, before: str, row: int) -> None:
    data = before.encode() + '{"id": "y", "prompt": "café", "harmful": false}\n'.encode("latin-1")
    assert message(file, data) == f"{file}: row {row}: is not UTF-8 text"


def test_utf_16_is_not_utf_8(file: Path) -> None:
    assert message(file, GOOD.encode("utf-16")).endswith("row 1: is not UTF-8 text")


def test_files_that_are_not_there_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_prompts(file)
    with pytest.raises(DataError, match="is a folder, not a JSONL file"):
        read_prompts(file.parent)

    def closed(self: Path, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_prompts(file)


def test_a_huge_line_is_read_but_never_echoed(file: Path) -> None:
    huge = "x" * 2_000_000
    file.write_text(json.dumps({"id": "a", "prompt": huge, "harmful": False}), encoding="utf-8")
    assert len(read_prompts(file).examples[0].prompt) == len(huge)
    good = {"id": "a", "prompt": "x", "harmful": True}
    wrong = [{**good, "harmful": huge}, {**good, huge: 1}, {**good, "hazard": [huge]}]
    for row in [*map(json.dumps, wrong), f'{{"id": "{huge}', "\n".join([json.dumps({**good, "id": huge})] * 2)]:
        assert len(message(file, row.encode())) < 300 + len(str(file))


def test_a_value_shown_in_a_message_cannot_steer_the_terminal(file: Path) -> None:
    line = json.dumps({"id": "\x1b[2J", "prompt": "x", "harmful": True})
    assert "\x1b" not in message(file, f"{line}\n{line}".encode())


def test_what_charter_never_holds_is_dropped_and_counted(file: Path) -> None:
    bad = '{"id": "z", "prompt": "Report on the sexual abuse of children", "harmful": true}\n'
    file.write_text(rows(2) + bad, encoding="utf-8")
    examples, dropped = read_prompts(file)
    assert len(examples) == 2
    assert dropped == {"sexual content about minors": 1}
    assert message(file, bad.encode()).endswith("all 1 rows were dropped: sexual content about minors")
