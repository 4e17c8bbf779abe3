"""Shelves: found by file name, cheap to list, and clear about what is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli import app
from charter.core import registry
from charter.core.errors import InputError
from charter.recipes.plugins import check_plugin


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A third party's package with an attack 'outside', one called like ours, and one that is no module."""
    (tmp_path / "outside_attacks.py").write_text(
        '"""Asks politely."""\nNOT_COVERED = "rudeness"\nfrom charter.core.config import Config\nbuild = built = list\n', encoding="utf-8"
    )
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
    with pytest.raises(InputError, match=r"the attack 'thing' of the package outside-attacks 1\.0 is not a module"):
        registry.find("attacks", "thing")


GOOD = (
    '"""Sends the goal as it is, twice over."""\nfrom charter.core.config import Config\nNOT_COVERED = "every disguise that there is"\n'
    "def build(config):\n    return lambda goal, rng: iter([goal.conversation])\n"
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Installs a package with one attack, whose file is given; returns the attack's name."""

    def install(source: str) -> str:
        name = f"theirs_{len(list(tmp_path.iterdir()))}_{abs(hash(source)) % 10**9}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        folder = tmp_path / f"{name}-2.1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n", encoding="utf-8")
        (folder / "entry_points.txt").write_text(f"[charter.attacks]\n{name} = {name}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return install


def test_what_is_installed_is_read_once_and_again_when_a_package_comes(package: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: read.append(group) or entry_points(group=group))
    registry.names("attacks")
    read.clear()
    registry.find("attacks", "direct")
    assert read == []
    assert package(GOOD) in registry.names("attacks")
    assert read == ["charter.attacks"]


FAULTS = {
    "import a_part_that_is_not_there\n": "cannot be loaded: ModuleNotFoundError: No module named 'a_part_that_is_not_there'",
    "1 / 0\n": "cannot be loaded: ZeroDivisionError: division by zero",
    GOOD.replace('"""', "'", 1).replace('"""', "'.strip()", 1): "has no docstring",
    GOOD.replace("NOT_COVERED =", "COVERED ="): "has no NOT_COVERED",
    GOOD.replace("import Config", "import Config as Settings"): "has no Config (a subclass of charter.core.config.Config)",
    GOOD.replace("def build", "def make"): "has no build",
}


@pytest.mark.parametrize(("source", "what"), FAULTS.items())
def test_a_faulty_plugin_names_its_package_and_what_is_missing_and_hides_no_other(source: str, what: str, package: Callable[[str], str]) -> None:
    name = package(source)
    with pytest.raises(InputError) as caught:
        registry.find("attacks", name)
    assert caught.value.message.startswith(f"the attack '{name}' of the package {name} 2.1 {what}")
    assert caught.value.hint
    listed = CliRunner().invoke(app, ["list", "attacks"], catch_exceptions=False)
    assert listed.exit_code == 0
    assert f"  {name}: BROKEN, the attack '{name}' of the package {name} 2.1 {what}" in listed.output
    assert [other for other in ("authority", "direct", "injection", "jailbreak") if f"\n  {other}: " not in listed.output] == []


def test_an_author_can_put_a_plugin_to_the_contract(package: Callable[[str], str]) -> None:
    good, vague = package(GOOD), package(GOOD.replace("Sends the goal as it is, twice over.", "Sends."))
    wild = package(GOOD.replace("goal.conversation", "goal.conversation.with_reply(str(__import__('os').urandom(4)))"))
    crashes = package(GOOD.replace("iter([goal.conversation])", "goal.no_such_thing"))

    def check(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["list", *words], catch_exceptions=False)
        return done.exit_code, done.output

    assert check("attacks", "--check", good) == check("--check", good) == (0, f"attacks/{good}: keeps the contract of its shelf\n")
    assert check("--check", vague) == (2, f"attacks/{vague}: the docstring's first line has 6 characters, not 21 to 150\n")
    code, said = check("--check", wild)
    assert code == 2
    assert "does not send the same twice" in said
    assert "does not end with the user's message" in said
    assert "raises AttributeError" in check("--check", crashes)[1]


@pytest.mark.parametrize(("shelf", "name"), [("rails", "length"), ("rails", "judge"), ("judges", "refusal"), ("judges", "llama_guard"),
                                            ("judges", "pairwise"), ("benchmarks", "xstest"), ("sources", "starter"), ("models", "openai"),
                                            ("attacks", "jailbreak"), ("trainers", "sft")])  # fmt: skip
def test_what_ships_keeps_the_contract_that_authors_are_held_to(shelf: str, name: str) -> None:
    assert check_plugin(shelf, name).faults == ()


def test_checking_a_plugin_that_is_not_there() -> None:
    with pytest.raises(InputError, match="nothing on the shelf rails is called 'lenght'"):
        CliRunner().invoke(app, ["list", "rails", "--check", "lenght"], catch_exceptions=False)
