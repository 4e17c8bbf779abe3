"""Run folders: one writer, one recipe, and a clock that adds up."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charter.core.errors import StoreError
from charter.core.rows import Drop
from charter.store import runs
from charter.store.runs import RunFolder, open_log, read_run, write_json, write_text

HOLD = """
import sys
from pathlib import Path
from charter.store.runs import RunFolder
with RunFolder(Path(sys.argv[1]), "evaluate", {}):
    print("open", flush=True)
    sys.stdin.read()
"""


def opened(path: Path, stage: str = "evaluate", config: dict[str, Any] | None = None, **rest: Any) -> RunFolder:
    return RunFolder(path, stage, config or {}, **rest)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(runs.time, "monotonic", lambda: now[0])
    return now


def test_run_json_is_written_first_and_says_with_what(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "b", config={"k": 1}, seed=3, inputs={"rows": "ab"}):
        run = read_run(tmp_path / "a" / "b")
        assert run is not None
        assert (run.stage, run.config, run.seed, run.inputs, run.status) == ("evaluate", {"k": 1}, 3, {"rows": "ab"}, "running")
        assert {"python", "charter-align"} <= set(run.versions)
    assert read_run(tmp_path / "none") is None


def test_finish_says_how_it_went_and_is_final(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        assert not folder.finished
        folder.log("rows", Drop).append([("a", Drop(subject="a", reason="tie"))])
        folder.finish(rows_in=3, rows_out=1, dropped={"tie": 1, "bad": 1}, outputs={"x": "y"})
        folder.finish(rows_in=9, rows_out=9)
    text = (tmp_path / "run.json").read_bytes()
    with opened(tmp_path) as again:
        assert again.finished
        assert (again.run.rows_in, again.run.rows_out, again.run.outputs, again.run.status) == (3, 1, {"x": "y"}, "done")
        assert list(again.run.dropped.items()) == [("bad", 1), ("tie", 1)]
        assert again.log("rows", Drop).keys() == ["a"]
        again.finish(rows_in=9, rows_out=9)
    assert (tmp_path / "run.json").read_bytes() == text


def test_seconds_add_up_over_broken_and_resumed_runs(tmp_path: Path, clock: list[float]) -> None:
    def broken() -> None:
        with opened(tmp_path):
            clock[0] += 10.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    run = read_run(tmp_path)
    assert run is not None
    assert (run.seconds, run.status) == (10.0, "running")
    clock[0] += 1000.0  # nobody works
    with opened(tmp_path):
        clock[0] += 2.5
    with opened(tmp_path) as folder:
        clock[0] += 1.25
        folder.finish(rows_in=0, rows_out=0)
        clock[0] += 50.0
    with opened(tmp_path):
        clock[0] += 50.0
    run = read_run(tmp_path)
    assert run is not None
    assert (run.seconds, run.status) == (13.75, "done")


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert held.stdin is not None
    assert held.stdout is not None
    try:
        assert held.stdout.readline() == "open\n"
        before = (tmp_path / "run.json").read_bytes()
        with pytest.raises(StoreError, match="another charter is writing there") as caught:
            opened(tmp_path)
        assert "--out" in caught.value.hint
        assert (tmp_path / "run.json").read_bytes() == before
    finally:
        held.send_signal(signal.SIGKILL)
        held.communicate()
    with opened(tmp_path) as folder:  # a lock does not outlive its process
        assert folder.run.status == "running"


def test_the_lock_also_holds_within_one_process_and_is_given_back(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(StoreError, match="another charter"):
        opened(tmp_path)
    with opened(tmp_path):
        pass


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"stage": "redteam"}, "holds a run of 'evaluate', not of 'redteam'"),
        ({"seed": 1}, "holds a run with seed 0, not 1"),
        ({"config": {"model": "b", "pairs": 4, "new": 1}}, "holds a run of another recipe (different: model, new)"),
        ({"config": {"pairs": 4}}, "holds a run of another recipe (different: model)"),
        ({"inputs": {"rows": "bb"}}, "holds a run over other input rows"),
    ],
)
def test_rows_of_two_recipes_are_never_mixed(tmp_path: Path, other: dict[str, Any], what: str) -> None:
    mine: dict[str, Any] = {"stage": "evaluate", "config": {"model": "a", "pairs": 4}, "inputs": {"rows": "aa"}}
    with opened(tmp_path, **mine):
        pass
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(StoreError) as caught:
        opened(tmp_path, **{**mine, **other})
    assert what in caught.value.message
    assert caught.value.hint.endswith(f"rm -r {tmp_path}")
    assert (tmp_path / "run.json").read_bytes() == before
    with opened(tmp_path, **mine):  # the refusal left no lock behind
        pass


def test_the_keys_of_a_recipe_that_differ_are_named_with_both_values(tmp_path: Path) -> None:
    recipe = {"name": "quickstart", "generate": {"pairs": 900, "plain": 60}, "seed": 0}
    with opened(tmp_path, config={"recipe": recipe, "model": "a"}):
        pass
    with pytest.raises(StoreError) as caught:
        opened(tmp_path, config={"recipe": {**recipe, "generate": {"pairs": 20, "plain": 60}, "name": "n" * 50}, "model": "b"})
    assert f'(different: model, recipe: name "quickstart" -> "{"n" * 36}..., generate.pairs 900 -> 20)' in caught.value.message


def test_other_versions_and_config_in_another_order_are_the_same_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, config={"a": (1, 2), "b": {"x": 1, "y": 2}}):
        pass
    monkeypatch.setattr(runs, "_versions", lambda: {"python": "9.9"})
    with opened(tmp_path, config={"b": {"y": 2, "x": 1}, "a": [1, 2]}) as folder:
        assert folder.run.versions != {"python": "9.9"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "x", "config": {}, "colour": "red"}'])
def test_a_damaged_run_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=r"run.json: is damaged or of a newer Charter") as caught:
        opened(tmp_path)
    assert caught.value.hint.startswith(f"mv {tmp_path} {tmp_path}.damaged")
    (tmp_path / "run.json").unlink()
    with opened(tmp_path):  # the refusal left no lock behind
        pass


def test_a_list_is_not_another_recipe_than_a_tuple(tmp_path: Path) -> None:
    with opened(tmp_path, config={"a": (1, 2), "b": 1}):
        pass
    with pytest.raises(StoreError, match=r"\(different: b\)"):
        opened(tmp_path, config={"a": (1, 2), "b": 2})


def test_unfinished_sub_folders_can_be_cleared(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        (tmp_path / "steps" / "1").mkdir(parents=True)
        folder.clear_unfinished("steps", "none")
    assert not (tmp_path / "steps").exists()


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        opened(tmp_path / "file" / "run")


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "x.json"
    write_json(path, {"b": 1, "a": "é\ud800"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"b": 1, "a": "é\ud800"}
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left on the disk"):
        write_text(path, "half of the ne")
    assert path.read_bytes() == before


def test_logs_are_appended_to(tmp_path: Path) -> None:
    for word in ("one", "two \ud800"):
        with open_log(tmp_path / "logs" / "x.log") as log:
            log.write(word + "\n")
    assert (tmp_path / "logs" / "x.log").read_text(encoding="utf-8") == "one\ntwo \\ud800\n"


def test_a_log_without_a_line_leaves_nothing_behind(tmp_path: Path) -> None:
    with open_log(tmp_path / "run" / "x.log"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_log_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file, not a folder", encoding="utf-8")
    with open_log(tmp_path / "run" / "x.log") as log, pytest.raises(StoreError, match="cannot be written"):
        log.write("line")


def test_what_a_link_names_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x.json").write_text("old", encoding="utf-8")
    for name, target in (("link", "there/x.json"), ("new", "there/y.json")):
        (tmp_path / name).symlink_to(target)
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_text(encoding="utf-8") == "new"
    assert sorted(file.name for file in (tmp_path / "there").iterdir()) == ["x.json", "y.json"]


def test_pipes_and_devices_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "said")
    assert os.read(reading, 99) == b"said"
    os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_text(Path("/dev/null"), "nothing")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    command = "from pathlib import Path; from charter.store.runs import write_text; write_text(Path('/dev/stdout'), 'said')"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout == "said"
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        write_text(tmp_path, "x")
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]
