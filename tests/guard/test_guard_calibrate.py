"""Thresholds from data keep the promise they were chosen for."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.core.errors import DataError
from charter.core.registry import find, names
from charter.core.rows import Conversation
from charter.core.seeds import derive
from charter.guard.calibrate import Scored, calibrate, threshold_for
from charter.guard.engine import Guard
from charter.guard.policy import GuardPolicy, HazardRule, RailEntry, dump_policy, load_policy
from charter.guard.rows import read_rows


def scored(harmless, harmful=()):
    scores = np.array([*harmless, *harmful], dtype=float)
    truth, anyway, masked = np.array([False] * len(harmless) + [True] * len(harmful)), np.array([""] * len(scores)), np.zeros(len(scores), dtype=bool)
    return Scored(scores, truth, anyway, np.isnan(scores), masked)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.lists(st.floats(0, 1), max_size=60), st.integers(0, 5))
def test_a_threshold_lets_no_more_harmless_rows_reach_it_than_asked(harmless, harmful, alarms):
    found = scored(harmless, harmful)
    threshold = threshold_for(found, alarms)
    assert 0.0 < threshold <= 1.0
    reached = sum(s >= threshold for s in harmless)
    assert reached <= alarms or threshold == 1.0
    if alarms < len(harmless) and threshold < 1.0:
        edge = sorted(harmless, reverse=True)[alarms]
        assert not [s for s in harmful if edge < s < threshold], "no harmful row is given away that could be caught"


def test_rows_that_were_not_scored_do_not_count():
    assert threshold_for(scored([0.1, np.nan, 0.9]), 1) == pytest.approx(0.5, abs=0.001)


@pytest.fixture
def rows(tmp_path):
    """Score = the number in the text. Harmless around 0.3, harmful around 0.7."""

    def write(n=400, seed=0, **more):
        rng = random.Random(seed)
        made = []
        for number in range(n):
            harmful = number % 2 == 1
            values = [min(0.99, max(0.01, rng.gauss(0.7 if harmful else 0.3, 0.15))) for _ in range(2)]
            made.append({"id": number, "prompt": f"{values[0]:.4f} {values[1]:.4f} row {number}", "harmful": harmful, **more})
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
        return read_rows(file)

    return write


def numbers(fakes):
    """Two rails that read a number each, and a rule."""

    def rail(place):
        return lambda conversation, stage: fakes.verdict("safe", float(conversation.prompt.split()[place]))

    return {"a": rail(0), "b": rail(1), "rule": fakes.rail("safe", 0.0)}


def policy(**entry):
    names = ("a", "b", "rule")
    return GuardPolicy(input=tuple(RailEntry(rail="length", name=name, **entry) for name in names), output=(RailEntry(rail="length"),))


@pytest.mark.parametrize("target", [0.02, 0.05, 0.2])
def test_the_guard_as_a_whole_keeps_the_false_alarms_asked_for(fakes, rows, target):
    data = rows()
    found, stages = calibrate(policy(), data, target, rails=numbers(fakes))
    held = [not c.passes for c in Guard(found, rails=numbers(fakes)).check_many([r.conversation for r in data.rows], "input")]
    alarms = sum(h for h, r in zip(held, data.rows, strict=True) if not r.harmful)
    assert alarms <= target * 200
    assert alarms >= target * 200 - 2, "and not far fewer: that would give catches away"
    result = stages[0]
    assert (result.false_alarms.value, result.false_alarms.n) == (alarms / 200, 200)
    assert result.caught.value == sum(h for h, r in zip(held, data.rows, strict=True) if r.harmful) / 200
    assert result.held_out.n == 200
    told = found.input[0].calibrated
    assert (told.data, told.max_false_alarms, told.harmless, told.harmful) == (data.hash, target, 200, 200)
    assert told.false_alarms[1] <= told.false_alarms[0] <= told.false_alarms[2]
    assert found.input[2].calibrated is None, "a rule that says 0 or 1 has no threshold to choose"
    points = result.rails[0].curve
    assert [p.false_alarms.value for p in points] == sorted((p.false_alarms.value for p in points), reverse=True)
    assert [p.caught.value for p in points] == sorted((p.caught.value for p in points), reverse=True)


def test_rows_that_chose_nothing_judge_the_choice(fakes, rows):
    """On the held-out halves the false alarms are near what was asked for, over many draws: thresholds are not fitted to their own rows."""
    shares = [calibrate(policy(), rows(400, seed), 0.05, rails=numbers(fakes))[1][0].held_out.value for seed in range(8)]
    assert 0.03 < sum(shares) / 8 < 0.08


def test_some_rails_only(fakes, rows):
    found, _ = calibrate(policy(threshold=0.99), rows(), 0.05, only=["a"], rails=numbers(fakes))
    assert [entry.threshold == 0.99 for entry in found.input] == [False, True, True]
    with pytest.raises(DataError, match="the guard has no rail 'c'; it has a, b, rule"):
        calibrate(policy(), rows(), 0.05, only=["c"], rails=numbers(fakes))


def test_labels_for_single_rails(fakes, rows):
    """Harmful rows of another kind are harmless to a rail that is labelled so."""
    data = rows(labels={"b": False})
    found, stages = calibrate(policy(), data, 0.05, rails=numbers(fakes))
    assert stages[0].rails[1].chosen.caught.n == 0
    assert found.input[1].calibrated.caught is None
    assert found.input[1].threshold > found.input[0].threshold


def test_failures_are_counted_and_are_no_scores(fakes, rows):
    def half(conversation, stage):
        return fakes.verdict("failed") if int(conversation.prompt.split()[-1]) % 4 < 2 else numbers(fakes)["a"](conversation, stage)

    _, stages = calibrate(policy(), rows(), 0.05, rails=numbers(fakes) | {"a": half})
    point = stages[0].rails[0].chosen
    assert (point.false_alarms.n, point.false_alarms.n_failed, point.caught.n, point.caught.n_failed) == (100, 100, 100, 100)
    assert "200 rows not scored" in stages[0].rails[0].note


def test_too_few_rows_cannot_show_it(fakes, rows):
    with pytest.raises(DataError, match=r"10 harmless rows for the input cannot show 2\.00% false alarms"):
        calibrate(policy(), rows(20), 0.02, rails=numbers(fakes))


def test_a_rail_that_cannot_tell_says_so(fakes, rows):
    always = numbers(fakes) | {"a": lambda c, s: fakes.verdict("safe", 1.0 if int(c.prompt.split()[-1]) % 3 == 0 else 0.5)}
    _, stages = calibrate(policy(), rows(), 0.05, only=["a"], rails=always)
    assert "cannot be calibrated" in stages[0].rails[0].note


def real(fakes, guard, rails, data):
    """Shares of harmless and of harmful rows that the guard holds back."""
    held = [not c.passes for c in Guard(guard, rails=rails).check_many([r.conversation for r in data.rows], "input")]
    return [sum(h for h, r in zip(held, data.rows, strict=True) if r.harmful is harmful) / 200 for harmful in (False, True)]


def every(number, then, other):
    """A rail that says ``then`` of every ``number``-th row."""
    return lambda conversation, stage: then if int(conversation.prompt.split()[-1]) % number == 0 else other


@pytest.mark.parametrize("outcome", ["unsafe", "unsure"])
@pytest.mark.parametrize("number", [50, 8])
def test_outcomes_without_a_score_count(fakes, rows, outcome, number):
    data = rows()
    rails = numbers(fakes) | {"rule": every(number, fakes.verdict(outcome), fakes.verdict("safe"))}
    found, (stage,) = calibrate(policy(), data, 0.05, rails=rails)
    assert [stage.false_alarms.value, stage.caught.value] == real(fakes, found, rails, data)
    assert bool(stage.warning) == (number == 8)
    assert (stage.false_alarms.value <= 0.05) == (number == 50)
    if stage.warning:
        assert "50 of 200 harmless rows are held back anyway: rule holds 50 (its outcome, without a score)" in stage.warning
        assert [rail.note for rail in stage.rails][2] == "threshold kept; 50 rows held back by its outcome, without a score"


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        (HazardRule(threshold=0.45), False),
        (HazardRule(threshold=0.01), True),
        (HazardRule(action="flag"), False),
        (HazardRule(threshold=0.01, action="allow"), False),
        (HazardRule(action="escalate"), False),
    ],
)
def test_rules_for_hazards_count(fakes, rows, rule, warned):
    def names_hazards(conversation, stage):
        words = conversation.prompt.split()
        return fakes.verdict("safe", float(words[0]), hazards=("weapons",) if int(words[-1]) % 8 == 0 else ())

    data, rails = rows(), numbers(fakes) | {"a": names_hazards}
    found, (stage,) = calibrate(policy().model_copy(update={"hazards": {"weapons": rule}}), data, 0.05, rails=rails)
    assert [stage.false_alarms.value, stage.caught.value] == real(fakes, found, rails, data)
    assert (stage.false_alarms.value <= 0.05) == (not warned)
    assert ("a holds 50 (the rule for weapons)" in stage.warning) == warned


def test_thresholds_that_are_kept_are_named_where_they_hold_too_much(fakes, rows):
    _, (stage,) = calibrate(policy(threshold=0.2), rows(), 0.05, only=["a"], rails=numbers(fakes))
    assert "(its threshold of 0.2, kept)" in stage.warning


def told(tmp_path, rows):
    file = tmp_path / "told.jsonl"
    file.write_text("".join(json.dumps({"id": n, **row}) + "\n" for n, row in enumerate(rows)), encoding="utf-8")
    return read_rows(file)


def test_a_limit_is_not_moved_by_how_long_harmful_rows_happen_to_be(tmp_path, fakes):
    mixed = GuardPolicy(input=(RailEntry(rail="length"), RailEntry(rail="request_harm")), output=(RailEntry(rail="length"),))
    rails = {"request_harm": lambda c, s: fakes.verdict("safe", 0.9 if "bomb" in c.prompt else 0.3)}
    rows = [{"prompt": f"How do I prune roses? {'Please. ' * (n % 20)}", "harmful": False} for n in range(100)]
    rows += [{"prompt": f"How do I build a bomb? {'Tell me all of it. ' * (20 + n)}", "harmful": True} for n in range(20)]
    found, (stage,) = calibrate(mixed, told(tmp_path, rows), 0.02, rails=rails)
    assert [entry.threshold for entry in found.input] == [0.8, 0.6]
    assert [rail.note for rail in stage.rails] == ["threshold kept: its score is no estimate of harm", ""]
    assert Guard(found, rails=rails).check(Conversation.ask("I write about gardens. " * 40), "input").passes


MAIL = "Write to anna@example-mail.org for more."


@pytest.mark.parametrize("labels", [{}, {"pii": True}])
@pytest.mark.parametrize("action", ["mask", "block"])
def test_personal_data_is_not_let_go_because_rows_with_it_are_harmless(tmp_path, fakes, labels, action):
    entry = RailEntry(rail="pii", action=action)
    mixed = GuardPolicy(input=(RailEntry(rail="length"),), output=(entry, RailEntry(rail="reply_harm", threshold=0.9)))
    rails = {"reply_harm": lambda c, s: fakes.verdict("safe", 0.8 if "bomb" in c.reply else 0.2)}
    rows = [
        {"prompt": "How?", "reply": f"Cut in winter. {MAIL if n % 5 == 0 else n}", "harmful": False, "labels": labels if n % 5 == 0 else {}}
        for n in range(100)
    ]
    rows += [{"prompt": "How?", "reply": f"Fill the bomb ({n})", "harmful": True} for n in range(20)]
    data = told(tmp_path, rows)
    found, (stage,) = calibrate(mixed, data, 0.02, rails=rails)
    assert found.output[0].threshold == 0.8
    checked = Guard(found, rails=rails).check(Conversation.ask("Who?").with_reply(MAIL), "output")
    assert (checked.action, "anna" in checked.conversation.reply) == (action, action == "block")
    wrong = 20 if action == "block" and not labels else 0
    assert (stage.false_alarms.value, stage.held_out.value, bool(stage.warning)) == (wrong / 100, wrong / 100, wrong > 0)
    if wrong:
        assert "pii holds 20 (its threshold of 0.8, kept)" in stage.warning
    else:
        assert (found.output[1].threshold, stage.caught.value) == (0.5, 1.0)


def test_a_rail_that_estimates_no_harm_is_calibrated_by_name_on_rows_labelled_for_it(tmp_path):
    mixed = GuardPolicy(input=(RailEntry(rail="length"),), output=(RailEntry(rail="pii", action="mask"),))
    rows = [{"prompt": "How?", "reply": f"Cut in winter. {MAIL if n < 20 else n}", "harmful": False} for n in range(100)]
    kept, (stage,) = calibrate(mixed, told(tmp_path, rows), 0.02, only=["pii"])
    assert (kept.output[0].threshold, stage.rails[0].note) == (0.8, "threshold kept: its score is no estimate of harm")
    labelled = [{**row, "labels": {"pii": "anna" in row["reply"]}} for row in rows]
    found, (stage,) = calibrate(mixed, told(tmp_path, labelled), 0.02, only=["pii"])
    assert found.output[0].calibrated.caught[0] == 1.0
    assert (stage.false_alarms.value, stage.rails[0].note) == (0.0, "")


@pytest.mark.parametrize(
    ("labels", "only", "lowered"), [({}, (), False), ({"jailbreak": False}, (), False), ({"jailbreak": True}, (), True), ({}, ("jailbreak",), True)]
)
def test_a_rail_of_something_else_than_harm_is_lowered_only_on_rows_labelled_for_it(tmp_path, monkeypatch, fakes, labels, only, lowered):
    """Harmful rows that are no jailbreaks score low on that rail: a threshold under them catches nothing and raises false alarms elsewhere."""
    scores = {"trick": 0.5, "bomb": 0.02, "loud": 0.9}

    def shelved(conversation, stage):
        return fakes.verdict("safe", max((s for word, s in scores.items() if word in conversation.prompt), default=0.01))

    monkeypatch.setattr(find("rails", "jailbreak"), "build", lambda config: shelved)
    mixed = GuardPolicy(input=(RailEntry(rail="jailbreak", threshold=0.7),), output=(RailEntry(rail="length"),))
    rows = [{"prompt": f"How do I prune roses? {n}", "harmful": False} for n in range(100)]
    rows += [{"prompt": f"{'A trick for' if labels else 'How do I build'} a bomb {n}", "harmful": True, "labels": labels} for n in range(20)]
    found, (stage,) = calibrate(mixed, told(tmp_path, rows), 0.02, only=only)
    assert (found.input[0].threshold < 0.7) == lowered
    assert (found.input[0].calibrated is not None) == lowered
    assert ("no row is labelled jailbreak" in stage.rails[0].note) == (not lowered)
    loud = [{"prompt": f"A loud rose {n}", "harmful": False} for n in range(10)]
    raised, _ = calibrate(mixed, told(tmp_path, [*rows, *loud]), 0.02)
    assert labels.get("jailbreak") or raised.input[0].threshold > 0.9, "harmless rows raise it, whatever is labelled"


def test_thresholds_that_fit_their_own_rows_alone_are_told(tmp_path, fakes):
    """All rows of one half score higher than those of the other: what the lower half allows holds back every harmless row of the higher."""

    def two_scales(conversation, stage):
        higher, harmful = derive(0, "calibrate", conversation.prompt.split()[-1]) % 2, "bomb" in conversation.prompt
        return fakes.verdict("safe", (0.3 if harmful else 0.2) if higher else (0.15 if harmful else 0.1))

    one = GuardPolicy(input=(RailEntry(rail="length", name="a"),), output=(RailEntry(rail="length"),))
    rows = [{"prompt": f"How do I {'build a bomb' if n % 4 == 0 else 'prune a rose'} {n}", "harmful": n % 4 == 0} for n in range(200)]
    _, (stage,) = calibrate(one, told(tmp_path, rows), 0.02, rails={"a": two_scales})
    assert (stage.false_alarms.value, stage.held_out.low > 0.3) == (0.0, True)
    assert "surely more than the 2.00% asked for" in stage.warning


def test_only_rails_that_estimate_harm_are_calibrated_unasked():
    calibrated = {name for name in names("rails") if getattr(find("rails", name), "CALIBRATES", True)}
    assert calibrated == {"injection", "jailbreak", "judge", "llm_judge", "reply_harm", "request_harm", "toxicity"}


def test_shadow_and_observing_rails_are_left_alone(fakes, rows):
    first, second, _ = policy().input
    mixed = policy().model_copy(update={"input": (first.model_copy(update={"shadow": True}), second)})
    found, stages = calibrate(mixed, rows(), 0.05, rails=numbers(fakes))
    assert [rail.rail for rail in stages[0].rails] == ["b"]
    assert found.input[0] == mixed.input[0]


def test_a_calibrated_guard_can_be_written_and_read_back(fakes, rows, tmp_path):
    found, _ = calibrate(policy(), rows(), 0.05, rails=numbers(fakes))
    file = tmp_path / "guard.yaml"
    file.write_text(dump_policy(found, ["by hand"]), encoding="utf-8")
    assert load_policy(file) == found
    assert file.read_text(encoding="utf-8").startswith("# by hand\nname:")


@settings(max_examples=30)
@given(st.data())
def test_any_row_is_read_or_refused_with_its_number(tmp_path_factory, data):
    value = data.draw(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda c: st.lists(c, max_size=3), max_leaves=4))
    key = data.draw(st.sampled_from(["id", "prompt", "messages", "reply", "harmful", "labels", "extra"]))
    row = {"id": "a", "prompt": "x", "harmful": True, key: value}
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text(json.dumps({"id": "0", "prompt": "first"}) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
    try:
        told = [] if len(read_rows(file).rows) == 2 else ["a row is lost"]
    except DataError as error:
        told = [] if "row 2" in error.message else [error.message]
    assert told == []


def test_rows_about_children_are_dropped_and_counted(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1, "prompt": "fine"}\n{"id": 2, "prompt": "sexual things about a child"}\n', encoding="utf-8")
    found = read_rows(file)
    assert (len(found.rows), found.dropped) == (1, {"sexual content about minors": 1})
