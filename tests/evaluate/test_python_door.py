"""``from charter import evaluate, compare``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from made_runs import graded_run, prompts, xstest_run

from charter.core.errors import InputError


def runs(folder):
    """Two models: over-refusal falls from 30 to 4 of 60; and one with a second benchmark."""
    before = xstest_run(folder / "a" / "xstest", ["full"] * 30 + ["none"] * 30, prompts(60), model="old")
    after = xstest_run(folder / "b" / "xstest", ["full"] * 4 + ["none"] * 56, prompts(60), model="new")
    return before, after


def rows(comparison):
    return {row.metric: (row.before, row.after, row.low, row.high, row.p_holm) for row in comparison.differences}


def test_what_evaluate_returns_compares_as_its_folders_do(tmp_path):
    from charter import compare

    before, after = runs(tmp_path)
    folders = compare(tmp_path / "a", str(tmp_path / "b"))
    assert rows(folders)["xstest/safe/full_refusal"][:2] == (0.5, pytest.approx(4 / 60))
    for found in (compare([before], [after]), compare(before, after), compare([before, after]), compare(tmp_path / "a", [after])):
        assert rows(found) == rows(folders)
        assert found.runs == ("a", "b")
        assert found.changed_frame().kind.value_counts()["fixed"] == 26


def test_a_list_of_several_models_is_one_run_each_in_order(tmp_path):
    from charter import compare

    before, after = runs(tmp_path)
    third = xstest_run(tmp_path / "c" / "xstest", ["none"] * 60, prompts(60), model="newest")
    more = graded_run(tmp_path / "c" / "graded", [[0.2]] * 6, model="newest")
    found = compare([before, after, third, more], at=[0, 10, 20])
    assert found.runs == ("a", "b", "c")
    assert found.not_compared == {"graded": ["c"]}
    assert {row.at for row in found.trends} == {(0, 10, 20)}


def test_one_model_alone_or_other_data_are_refused(tmp_path):
    from charter import compare

    before, _ = runs(tmp_path)
    with pytest.raises(InputError, match="at least two runs"):
        compare([before])
    other = graded_run(tmp_path / "g" / "graded", [[0.2]] * 6, model="newest")
    with pytest.raises(InputError, match="the runs share no benchmark: a has xstest; g has graded"):
        compare([before], [other])


@pytest.mark.parametrize("first", ["", "import charter.evaluate.compare; "])
def test_the_names_can_be_called_whatever_was_imported_first(tmp_path, first):
    """In a process of its own: ``charter.evaluate`` is a room and a function under one name."""
    said = f"{first}from charter import evaluate, compare; a, = evaluate('scripted', 'alignment_tax', limit=4, out='out'); print(compare(a, a).runs)"
    done = subprocess.run([sys.executable, "-c", said], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "('scripted (1)', 'scripted (2)')"), done.stderr
