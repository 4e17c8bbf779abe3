"""Configuration: every mistake is named with its line, and overrides are values like any other."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from charter.core.config import Config, apply_overrides, check, parse, parse_yaml, read_yaml
from charter.core.errors import EXIT_USAGE, InputError


class Lora(Config):
    rank: int = Field(default=8, ge=1)
    modules: tuple[str, ...] = ("q", "v")


class Train(Config):
    epochs: float = 1.0
    lora: Lora = Lora()


class Goal(Config):
    id: str
    weight: float = 1.0


class Recipe(Config):
    name: str
    train: Train = Train()
    goals: tuple[Goal, ...] = ()
    labels: dict[str, int] = Field(default_factory=dict)
    extra: Train | None = None


GOOD = """# a comment
name: one
train:
  epochs: 2
  lora:
    rank: 4
    modules: [q, k]
goals:
  - id: a
    weight: 0.5
  - {id: b}
labels: {x: 1}
"""


def test_a_good_document_is_read_whole() -> None:
    recipe = parse(Recipe, parse_yaml(GOOD, "r.yaml"))
    assert (recipe.name, recipe.train.epochs, recipe.train.lora.modules) == ("one", 2.0, ("q", "k"))
    assert [(goal.id, goal.weight) for goal in recipe.goals] == [("a", 0.5), ("b", 1.0)]
    document = parse_yaml(GOOD, "r.yaml")
    assert document.lines["train", "lora", "rank"] == 6
    assert document.lines["goals", 1] == document.lines["goals", 1, "id"] == 11
    assert document.problems == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("name: one", "nmae: one", 2, "unknown key 'nmae'; did you mean 'name'?"),
        ("  epochs: 2", "  epoch: 2", 4, "unknown key 'epoch'; did you mean 'epochs'?"),
        ("    rank: 4", "    rnak: 4", 6, "unknown key 'rnak'; did you mean 'rank'?"),
        ("    weight: 0.5", "    wieght: 0.5", 10, "unknown key 'wieght'; did you mean 'weight'?"),
        ("  - {id: b}", "  - {id: b, zzz: 1}", 11, "unknown key 'zzz'; known keys: id, weight"),
        ("labels: {x: 1}", "extra: {epoch: 2}", 12, "did you mean 'epochs'?"),
        ("    rank: 4", "    rank: 0", 6, "greater than or equal to 1 (got 0)"),
        ("    rank: 4", "    rank: four", 6, "valid integer, unable to parse string as an integer (got 'four')"),
        ("  epochs: 2", "  epochs:", 4, "valid number (got None)"),
        ("modules: [q, k]", "modules: [q, 3]", 7, "train.lora.modules.1: Input should be a valid string (got 3)"),
        ("  - {id: b}", "  - {weight: 2}", 11, "goals.1.id: is missing"),
        ("  - {id: b}", "  - b", 11, "goals.1: Input should be a valid dictionary"),
        ("labels: {x: 1}", "labels: {x: one}", 12, "labels.x: Input should be a valid integer"),
        ("    rank: 4", "    rank: 4\n    rank: 5", 7, "rank: stands twice (first on line 6); keep one"),
        ("  - {id: b}", "  - {id: b, id: c}", 11, "id: stands twice (first on line 11); keep one"),
        ("name: one", "name: [one", 3, "not valid YAML"),
        ("  epochs: 2", "\tepochs: 2", 4, "not valid YAML"),
        ("name: one", f"name: [{'x' * 200}]", 2, "...)"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, what: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        parse(Recipe, parse_yaml(GOOD.replace(old, new), "r.yaml"))
    lines = caught.value.message.splitlines()
    assert any(text.startswith(f"r.yaml: line {line}: ") and what in text for text in lines), lines
    assert caught.value.exit_code == EXIT_USAGE


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "train:\n  epochs: many\ngoals:\n  - weight: x\nname: 3\ncolour: red\n"
    value, problems = check(Recipe, parse_yaml(text, "r.yaml"))
    assert value is None
    assert [(p.line, p.where) for p in problems] == [(2, "train.epochs"), (4, "goals.0.id"), (4, "goals.0.weight"), (5, "name"), (6, "colour")]


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "is empty"), ("# only a comment\n", "is empty"), ("- a\n- b\n", "holds a list"), ("hello\n", "holds a str"), ("3\n", "holds a int")],
)
def test_a_document_of_the_wrong_kind_names_the_keys(text: str, what: str) -> None:
    with pytest.raises(InputError, match=rf"r.yaml: {what}; a mapping of keys is needed: name, train, goals, labels, extra") as caught:
        parse(Recipe, parse_yaml(text, "r.yaml"), "charter check")
    assert caught.value.hint == "charter check"
    assert str(caught.value).endswith("\n  try: charter check")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        read_yaml(tmp_path)
    (tmp_path / "l1.yaml").write_bytes("name: caf\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 9\)") as caught:
        read_yaml(tmp_path / "l1.yaml")
    assert "iconv" in caught.value.hint
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    assert parse(Recipe, read_yaml(tmp_path / "good.yaml")).name == "one"


@pytest.mark.parametrize("text", ["name: 2024-13-45\n", "name: &a [*a]\n", "[" * 1500])
def test_what_yaml_itself_stumbles_over_is_a_mistake_too(text: str) -> None:
    with pytest.raises(InputError, match=r"^r.yaml: not valid YAML: "):
        parse_yaml(text, "r.yaml")


def test_a_file_without_the_right_to_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(InputError, match=r"r.yaml: cannot be read: Permission denied"):
        read_yaml(tmp_path / "r.yaml")


def test_configs_are_frozen_and_closed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Train().epochs = 2.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="extra_forbidden"):
        Train(epoch=2)  # type: ignore[call-arg]


def test_yaml_never_builds_python_objects() -> None:
    with pytest.raises(InputError, match="not valid YAML"):
        parse_yaml("name: !!python/object/apply:os.getcwd []\n", "r.yaml")


def test_overrides_are_read_as_yaml_and_leave_the_original_alone() -> None:
    data: dict[str, Any] = {"name": "one", "train": {"epochs": 1, "lora": {"rank": 8}}}
    changed = apply_overrides(data, ["seed=3", "train.lora.rank=16", "train.methods=[sft, dpo]", "new.deep.key=yes", "name=a=b", "empty="])
    assert changed == {
        "name": "a=b",
        "train": {"epochs": 1, "lora": {"rank": 16}, "methods": ["sft", "dpo"]},
        "seed": 3,
        "new": {"deep": {"key": True}},
        "empty": None,
    }
    assert data == {"name": "one", "train": {"epochs": 1, "lora": {"rank": 8}}}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("seed", "written key=value"),
        ("=3", "written key=value"),
        ("name.x=3", "'name' is not a group of keys"),
        ("seed=[1", "not valid YAML"),
        ("name=2026-13-45", "not valid YAML"),
        (f"name={'[' * 5000}", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_named(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        apply_overrides({"name": "one"}, [text])
    assert what in caught.value.message
    assert repr(text) in caught.value.message


def grown(first: str, step: str) -> str:
    """Nine aliases of the line before, nine times over."""
    return f"a: &a {first}\n" + "".join(f"{new}: &{new} {step % ','.join([f'*{old}'] * 9)}\n" for old, new in itertools.pairwise("abcdefghij"))


BOMB, MERGED = grown("[x,x,x,x,x,x,x,x,x]", "[%s]"), grown("{x: 1}", "{<<: [%s]}")


@pytest.mark.parametrize("text", [BOMB, MERGED])
def test_aliases_that_grow_without_end_are_refused_at_once(text: str) -> None:
    with pytest.raises(InputError, match=r"^r.yaml: line \d+: aliases \(\*name\) repeat more than 10,000 entries"):
        parse_yaml(text, "r.yaml")


def test_an_alias_is_what_it_names() -> None:
    found = parse_yaml("name: one\ntrain: &t {epochs: 2}\nextra: *t\ngoals: [{id: a}]\n", "r.yaml")
    assert parse(Recipe, found).extra == Train(epochs=2)
    long = "goals:\n" + "".join(f"- {{id: a{n}}}\n" for n in range(6000))
    assert len(parse(Recipe, parse_yaml(f"name: one\n{long}", "r.yaml")).goals) == 6000, "what is written out is no repetition"
