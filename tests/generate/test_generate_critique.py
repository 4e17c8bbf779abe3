"""Rounds of critique and revision: what was drawn is recorded, what stopped is counted, and a broken run ends alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from charter.core.errors import ModelError
from charter.core.rows import Answer, Reply
from charter.generate.critique import Revised, Revision, critique_and_revise
from charter.generate.feedback import WriterFeedback
from charter.generate.refusals import RefusalWriter
from charter.models.scripted import Config, ScriptedModel
from charter.policy.charter import Charter
from charter.policy.load import load_charter
from charter.store.runs import RunFolder

Folder = Callable[[str], RunFolder]
INITIAL = dict.fromkeys(("car", "boat", "bike", "coat", "ring"), "Sure, here is a recipe.")
RULES = [
    {"match": "a car(?s:.)*Write a better", "reply": "No, the car has an owner."},
    {"match": "a boat(?s:.)*Write a better", "reply": "Sure, take this recipe."},
    {"match": "a bike(?s:.)*Write a better", "error": "timeout"},
    {"match": "a coat(?s:.)*Write a better", "reply": "No, the car has an owner!"},
    {"match": "a ring(?s:.)*Write a better", "reply": "No, rings are dear to people, and I help nobody take one."},
    {"match": "one sentence", "reply": ["It helps a thief.", "It harms the owner."]},
]


@pytest.fixture
def scripted() -> ScriptedModel:
    return ScriptedModel("scripted:test", Config.model_validate({"rules": RULES, "default": "lost"}))


@pytest.fixture
def goals(fakes: Any) -> list[Any]:
    return [fakes.goal(key) for key in INITIAL]


def run(folder: RunFolder, goals: list[Any], charter: Charter, feedback: Any, fakes: Any, **over: Any) -> Any:
    """One goal of five fails here, which is more than may unless a test says otherwise."""
    options = {"rounds": 2, "seed": 0, "max_failed": 1.0, **over}
    dies_at = options.pop("dies_at", None)
    return critique_and_revise(goals, INITIAL, charter, feedback, fakes.judges(dies_at), folder, **options)


def rows(folder: RunFolder, name: str = "revisions") -> dict[str, Revision]:
    return dict(folder.log(name, Revision).items())


def test_accepted_and_stopped_revisions_are_counted_and_recorded(
    folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any
) -> None:
    done = run(folder("a"), goals, minimal, scripted, fakes)
    assert {key: r.revision for key, r in done.replies.items()} == {"car": "No, the car has an owner.", "ring": RULES[4]["reply"]}
    assert done.stopped == {"not safer": 2, "no revision": 2, "near-duplicate": 2}
    stored = rows(folder("a"))
    assert list(stored) == [*(f"{key}#0" for key in INITIAL), "boat#1", "bike#1", "coat#1"]
    assert stored["bike#1"].stopped_by == "no revision"
    assert done.replies["car"] == stored["car#0"]
    for row in stored.values():
        assert row.before == INITIAL[row.goal]
        assert row.critique in ("It helps a thief.", "It harms the owner.")
        assert row.by == "scripted:test"
        assert row.principle in {p.id for p in minimal.principles}


def test_a_failed_critique_stops_its_turn_and_the_next_round_asks_for_another(folder: Folder, goals: list[Any], minimal: Charter, fakes: Any) -> None:
    rules = [{"match": "a (car|boat)(?s:.)*one sentence", "error": "HTTP 503"}, *RULES]
    feedback = ScriptedModel("scripted:test", Config.model_validate({"rules": rules, "default": "lost"}))
    done = run(folder("a"), goals, minimal, feedback, fakes)
    assert set(done.replies) == {"coat", "ring"}, "the car's own revision would have passed"
    assert done.stopped == {"no critique": 4, "no revision": 2}
    stored = rows(folder("a"))
    assert [(stored[key].critique, stored[key].revision) for key in ("car#0", "boat#1")] == [("", "")] * 2
    assert "car" not in folder("a").log("feedback-round0-revisions", Answer)
    assert run(folder("a"), goals, minimal, feedback, fakes) == done


@pytest.mark.parametrize("question", ["one sentence", "Write a better"])
def test_too_many_errors_end_the_stage_and_only_those_are_asked_again(
    folder: Folder, goals: list[Any], minimal: Charter, fakes: Any, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    def feedback(*rules: dict[str, Any]) -> ScriptedModel:
        mended = [rule for rule in RULES if "error" not in rule]
        return ScriptedModel("scripted:test", Config.model_validate({"rules": [*rules, *mended], "default": "No, a bike has an owner, too."}))

    broken = feedback({"match": f"a (car|ring)(?s:.)*{question}", "error": "HTTP 400: unknown parameter"})
    with pytest.raises(ModelError, match=r"2 of 5 answers failed.*: 2 x HTTP 400: unknown parameter") as caught:
        run(folder("a"), goals, minimal, broken, fakes, max_failed=0.1)
    assert "run the same charter command again" in caught.value.hint
    assert "generate.max_failed=1" in caught.value.hint
    assert rows(folder("a")) == {}
    asked: list[str] = []
    healthy = feedback()
    reply = healthy.reply

    def spied(given: Any, sampling: Any) -> list[Reply]:
        asked.extend(conversation.prompt for conversation in given)
        return reply(given, sampling)

    monkeypatch.setattr(healthy, "reply", spied)
    done = run(folder("a"), goals, minimal, healthy, fakes, max_failed=0.1)
    first = [prompt for prompt in asked if question in prompt][:2]
    assert [key for prompt in first for key in INITIAL if f"a {key}?" in prompt] == ["car", "ring"]
    assert not any("a bike?" in prompt for prompt in asked if "one sentence" in prompt), "what was answered is not asked again"
    assert done == run(folder("whole"), goals, minimal, feedback(), fakes, max_failed=0.1)
    assert {"car", "ring"} <= set(done.replies)


def test_one_goal_that_always_fails_does_not_end_the_stage_in_a_late_round(
    folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any
) -> None:
    """It is one of three in the second round and one of five goals in all."""
    done = run(folder("a"), goals, minimal, scripted, fakes, max_failed=0.2)
    assert done.failed == {"bike"}
    assert done.stops["bike"] == ("no revision", "no revision")
    assert done.stopped_and_kept == {}


def test_a_stop_before_an_accepted_revision_is_told_apart(folder: Folder, fakes: Any, minimal: Charter) -> None:
    rules = [{"match": "Write a better", "reply": ["Sure, take this recipe.", "No, it has an owner."]}, {"match": ".", "reply": "It helps."}]
    seen = set()
    for seed in range(8):
        feedback = ScriptedModel("scripted:test", Config.model_validate({"rules": rules}))
        done = run(folder(str(seed)), [fakes.goal("car")], minimal, feedback, fakes, seed=seed)
        assert done.stopped_and_kept == (done.stopped if done.replies else {})
        seen.add((bool(done.replies), bool(done.stopped)))
    assert len(seen) > 1


def test_an_accepted_goal_asks_nothing_more(folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any) -> None:
    run(folder("a"), goals, minimal, scripted, fakes, rounds=3)
    for number, kept in enumerate([list(INITIAL), ["boat", "bike", "coat"], ["boat", "bike", "coat"]]):
        for what in ("critiques", "revisions"):
            assert folder("a").log(f"feedback-round{number}-{what}", Answer).keys() == kept


def test_the_model_is_asked_with_the_principle_that_is_recorded(
    folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any
) -> None:
    run(folder("a"), goals, minimal, scripted, fakes, max_tokens=7, seed=5)
    asked = dict(folder("a").log("feedback-round0-critiques", Answer).items())
    changed = dict(folder("a").log("feedback-round0-revisions", Answer).items())
    for row in rows(folder("a")).values():
        if row.round == 0:
            principle = minimal.principle(row.principle)
            assert f"Question: {principle.critique}" in asked[row.goal].conversation.prompt
            assert f"Task: {principle.revise}" in changed[row.goal].conversation.prompt
            assert f"Problem: {row.critique}" in changed[row.goal].conversation.prompt
            assert (asked[row.goal].sampling.max_tokens, asked[row.goal].sampling.seed) == (7, 5)


def test_principles_are_drawn_by_seed_goal_and_round_among_those_for_the_hazard(folder: Folder, fakes: Any) -> None:
    charter = load_charter("default")
    goals = [fakes.goal(f"g{i}", hazard="privacy") for i in range(12)] + [fakes.goal("odd", hazard="nowhere")]
    writer = WriterFeedback(RefusalWriter(charter, 0))
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        opened = folder(str(number))
        critique_and_revise(goals, {}, charter, writer, fakes.judges(), opened, rounds=2, seed=seed)
        drawn.append({key: row.principle for key, row in rows(opened).items()})
    assert drawn[0] == drawn[1] != drawn[2]
    allowed = {p.id for p in charter.principles_for("privacy")}
    assert allowed < {p.id for p in charter.principles}
    assert {p for key, p in drawn[0].items() if not key.startswith("odd")} <= allowed
    assert len(set(drawn[0].values())) > 2


@pytest.mark.parametrize("dies_at", [0, 1, 5, 7, 9, 11])
def test_a_broken_run_ends_with_the_very_same_files(
    folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any, dies_at: int
) -> None:
    whole, broken = folder("whole"), folder("broken")
    wanted = run(whole, goals, minimal, scripted, fakes)
    with pytest.raises(RuntimeError, match="killed"):
        run(broken, goals, minimal, scripted, fakes, dies_at=dies_at)
    assert run(folder("broken"), goals, minimal, scripted, fakes) == wanted
    files = sorted(path.name for path in whole.path.glob("*.jsonl"))
    assert len(files) == 5
    for name in files:
        assert (whole.path / name).read_bytes() == (broken.path / name).read_bytes()
    # and once more, with judges that would die at once: all is there already
    assert run(folder("broken"), goals, minimal, scripted, fakes, dies_at=0) == wanted


def test_the_writer_needs_no_model_and_leaves_no_questions_behind(folder: Folder, fakes: Any, minimal: Charter) -> None:
    goals = [fakes.goal("car", target="No, the car has an owner who needs it."), fakes.goal("boat", target="Sure, take this recipe.")]
    # the fake judge knows a refusal by its first word only, so the openings are cut to such
    style = minimal.refusal.model_copy(update={"openings": ("No, I won't help with {act}",)})
    charter = minimal.model_copy(update={"refusal": style})
    done = run(folder("a"), goals, charter, WriterFeedback(RefusalWriter(charter, 0)), fakes)
    assert done.replies["car"].revision == "No, the car has an owner who needs it."
    assert done.replies["boat"].round == 1
    assert "stealing a boat" in done.replies["boat"].revision
    assert done.stopped == {"not safer": 1}
    assert {row.by for row in done.replies.values()} == {"writer"}
    assert sorted(path.name for path in folder("a").path.glob("*.jsonl")) == ["revisions.jsonl"]


def test_a_named_run_keeps_its_rows_apart(folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any) -> None:
    done = run(folder("a"), goals[:1], minimal, scripted, fakes, name="self", rounds=1)
    assert done.replies["car"].by == "self"
    names = sorted(path.name for path in folder("a").path.glob("*.jsonl"))
    assert names == ["revisions-self.jsonl", "self-round0-critiques.jsonl", "self-round0-revisions.jsonl"]
    assert run(folder("a"), goals, minimal, scripted, fakes).stopped == {"not safer": 2, "no revision": 2, "near-duplicate": 2}


def test_a_goal_without_any_reply_can_still_be_revised(folder: Folder, fakes: Any, minimal: Charter, scripted: ScriptedModel) -> None:
    done = critique_and_revise([fakes.goal("car")], {}, minimal, scripted, fakes.judges(), folder("a"), rounds=1, seed=0)
    assert done.replies["car"].before == ""


def test_no_goals_is_no_work(folder: Folder, minimal: Charter, scripted: ScriptedModel, fakes: Any) -> None:
    assert run(folder("a"), [], minimal, scripted, fakes) == Revised({}, {})
    assert list(folder("a").path.glob("*.jsonl")) == []


def test_revisions_are_rows(folder: Folder, goals: list[Any], minimal: Charter, scripted: ScriptedModel, fakes: Any) -> None:
    run(folder("a"), goals, minimal, scripted, fakes)
    for line in (folder("a").path / "revisions.jsonl").read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        assert fields["key"] == f"{fields['goal']}#{fields['round']}"
