"""Shelves: found by file name, cheap to list, and clear about what is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charter.core import registry
from charter.core.errors import InputError


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A third party's package with an attack 'outside', one called like ours, and one that is no module."""
    (tmp_path / "outside_attacks.py").write_text('"""Asks politely."""\nNOT_COVERED = "rudeness"\nbuilt = []\n', encoding="utf-8")
    folder = tmp_path / "outside_attacks-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-attacks\nVersion: 1.0\n", encoding="utf-8")
    entries = "[charter.attacks]\noutside = outside_attacks\ndirect = outside_attacks\nthing = outside_attacks:built\n"
    (folder / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outside_attacks", raising=False)
    return "outside"


def test_names_are_sorted_and_without_helpers() -> None:
    for shelf in registry.SHELVES:
        found = registry.names(shelf)
        assert found == sorted(set(found))
        assert not any(name.startswith("_") for name in found)
    assert {"direct", "jailbreak", "authority", "injection"} <= set(registry.names("attacks"))
    assert {"sft", "dpo"} <= set(registry.names("trainers"))
    assert "starter" in registry.names("sources")


def test_listing_every_shelf_imports_no_plugin_and_nothing_heavy() -> None:
    code = (
        "import sys; from charter.core import registry; found = {s: registry.names(s) for s in registry.SHELVES}\n"
        "loaded = [f'{registry.SHELVES[s]}.{n}' for s, all in found.items() for n in all if f'{registry.SHELVES[s]}.{n}' in sys.modules]\n"
        "heavy = [n for n in ('torch', 'transformers', 'trl', 'peft', 'openai', 'scipy', 'matplotlib') if n in sys.modules]\n"
        "print(loaded, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_find_gives_the_module() -> None:
    assert registry.find("sources", "starter").__name__ == "charter.data.sources.starter"


@pytest.mark.parametrize(
    ("shelf", "name", "what", "hint"),
    [
        ("attacks", "jailbraek", "no attack is called 'jailbraek'; did you mean 'jailbreak'?", "charter list attacks"),
        ("trainers", "zzz", "no trainer is called 'zzz'; known: dpo, sft", "charter list trainers"),
        ("judges", "_hashed", "no judge is called '_hashed'", "charter list judges"),
        ("attack", "direct", "there is no shelf 'attack'; known: attacks, rails", "charter list"),
    ],
)
def test_an_unknown_name_is_answered_with_the_right_ones(shelf: str, name: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.find(shelf, name)
    assert caught.value.message.startswith(what)
    assert caught.value.hint == hint


def test_third_parties_add_plugins_through_entry_points(plugin: str) -> None:
    assert plugin in registry.names("attacks")
    assert "outside_attacks" not in sys.modules
    assert registry.find("attacks", plugin).NOT_COVERED == "rudeness"


def test_two_plugins_of_one_name_are_refused(plugin: str) -> None:
    assert registry.names("attacks").count("direct") == 1
    with pytest.raises(InputError, match="two plugins on the shelf attacks are called 'direct'"):
        registry.find("attacks", "direct")


def test_an_entry_point_must_name_a_module(plugin: str) -> None:
    with pytest.raises(InputError, match="the attack 'thing' is not a module"):
        registry.find("attacks", "thing")
