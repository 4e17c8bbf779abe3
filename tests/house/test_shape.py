"""What every file keeps: length, no state in modules, the contract of a shelf, no words that belong elsewhere, pinned versions."""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from charter.core import registry
from charter.core.config import Config

MAX_LINES = 400
AIM_LINES = 200
MUTABLE = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
MAKERS = {"dict", "list", "set", "defaultdict", "Counter", "deque", "OrderedDict"}
PLUGINS = [(shelf, name) for shelf in registry.SHELVES for name in registry.names(shelf)]
# Words of the place where the work was done: machine paths, package hosts, helpers. In two parts, so that this file does not hold them itself.
FORBIDDEN = tuple(
    re.compile(first + second, re.IGNORECASE)
    for first, second in (
        ("/work", "/main"),
        ("/work", "/shared"),
        ("/tmp", "/venv"),
        ("/opt", "/pypi"),
        (r"\bpypi\.", "org"),
        ("python", r"hosted\.org"),
        (r"registry\.npm", "js"),
        (r"deb\.", r"debian\.org"),
        (r"\bsub-?", "agent"),
        (r"\bhelper ", r"(agent|session)"),
        (r"\b(last|next|another|earlier) sess", "ion"),
        ("co-authored", "-by"),
        (r"\bclaude ", "code"),
        (r"as an ai (assistant )?i (wrote|", "generated)"),
    )
)


def modules(root: Path) -> list[Path]:
    return sorted((root / "src").rglob("*.py"))


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_module_is_too_long(root: Path) -> None:
    worst = sorted(((lines_of(file), str(file.relative_to(root))) for file in modules(root)), reverse=True)[:10]
    print("longest modules:", *(f"  {count:4} {name}{' (aim: 200)' if count > AIM_LINES else ''}" for count, name in worst), sep="\n")
    assert worst[0][0] <= MAX_LINES, worst


def test_no_module_holds_state(root: Path) -> None:
    """A lower-case module-level dict or list is a variable that anybody may change. Constants are upper-case and left alone."""
    found = [f"{file.relative_to(root)}:{line} {name}" for file in modules(root) for line, name in mutable_names(file.read_text(encoding="utf-8"))]
    assert found == []


def mutable_names(source: str) -> list[tuple[int, str]]:
    found = []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in MAKERS
        if isinstance(value, MUTABLE) or made:
            found += [(node.lineno, t.id) for t in targets if isinstance(t, ast.Name) and not t.id.isupper() and t.id != "__all__"]
    return found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("cache = {}", ["cache"]),
        ("seen: list[int] = []", ["seen"]),
        ("counts = Counter()", ["counts"]),
        ("_cache = dict(a=1)", ["_cache"]),
        ("NAMES = {'a': 1}\nDEFAULT = 3\n__all__ = ['x']\nlabel = 'text'\ndef f():\n    inside = []", []),
    ],
)
def test_the_check_for_state_sees_it(source: str, names: list[str]) -> None:
    assert [name for _, name in mutable_names(source)] == names


def test_there_is_no_drawer_for_everything(root: Path) -> None:
    assert [file.name for file in modules(root) if file.stem in ("utils", "util", "common", "helpers", "misc")] == []


def test_only_the_door_prints(root: Path) -> None:
    tree = {file: ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for file in modules(root) if "cli" not in file.parts}
    found = [f"{file.relative_to(root)}:{node.lineno}" for file, nodes in tree.items() for node in nodes if is_print(node)]
    assert found == []


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


@pytest.mark.parametrize(("shelf", "name"), PLUGINS)
def test_every_plugin_keeps_the_contract(shelf: str, name: str) -> None:
    module: ModuleType = registry.find(shelf, name)
    first = (module.__doc__ or "").strip().partition("\n")[0]
    assert 20 < len(first) <= 150
    assert isinstance(module.NOT_COVERED, str)
    assert len(module.NOT_COVERED) > 20
    assert issubclass(module.Config, Config)
    assert module.Config.model_config["extra"] == "forbid"
    assert callable(module.build)


def test_nothing_names_the_place_where_it_was_made(tracked: list[Path], root: Path) -> None:
    found = []
    for file in tracked:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(root)}: {match[0]}" for pattern in FORBIDDEN if (match := pattern.search(text))]
    assert found == []


def test_the_search_for_such_words_finds_them() -> None:
    assert any(pattern.search("see /work" + "/main/x") for pattern in FORBIDDEN)
    assert not any(pattern.search('@pytest.fixture(scope="session")') for pattern in FORBIDDEN)


def pins(root: Path) -> dict[str, str]:
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    rows = [line.partition("==") for line in text.splitlines() if line and not line.startswith("#")]
    assert all(sign == "==" and version for _, sign, version in rows)
    return {canonicalize_name(name): version for name, _, version in rows}


def test_every_dependency_is_pinned_to_a_version_that_fits(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["dependencies"] + [text for group in project["optional-dependencies"].values() for text in group]
    found = pins(root)
    for need in map(Requirement, texts):
        if need.name != project["name"]:
            assert canonicalize_name(need.name) in found, f"constraints.txt does not pin {need.name}"
            assert need.specifier.contains(found[canonicalize_name(need.name)]), str(need)


def test_the_pins_fit_any_build_and_any_machine(root: Path) -> None:
    found = pins(root)
    assert found["torch"] == "2.13.0"
    assert not [name for name, version in found.items() if "+" in version or name.startswith(("nvidia-", "triton", "charter"))]


def test_the_package_may_be_read_without_warnings(root: Path) -> None:
    """Invalid escapes and the like, which Python only tells when a file is compiled anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in modules(root):
            compile(file.read_text(encoding="utf-8"), str(file), "exec")


def test_nobody_is_told_to_install_a_package_that_is_not_published(tracked: list[Path], root: Path) -> None:
    """A name that nobody owns yet, in a command to copy, is a name that anybody may put something up under."""
    told = re.compile(r"pip install[^\n#]*charter-align")
    places = [file for file in tracked if file.suffix in (".py", ".md", ".yml", ".yaml", ".service")]
    shown = [file for file in places if file.relative_to(root).parts[0] in ("src", "docs", "deploy", "examples", "README.md")]
    assert [str(file.relative_to(root)) for file in shown if told.search(file.read_text(encoding="utf-8"))] == []
