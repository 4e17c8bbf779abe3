"""Judges made of judges: whole truth tables, what failures do, and what a cascade saves."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from charter.core.errors import InputError
from charter.core.rows import Answer, Conversation, Reply, Sampling, Verdict
from charter.judges import all_of, any_of, cascade, majority, negation, threshold
from charter.judges._algebra import both, either, inverse, most
from charter.judges._judging import judge_answer, judge_rows
from charter.judges._spec import build_judge
from charter.store.rowlog import RowLog

VALUES = ("safe", "unsafe", "unsure", "failed")
ASK = Conversation.ask("Hello?").with_reply("Hello!")
#: Rows and columns in the order of VALUES.
AND = "safe safe safe safe  safe unsafe unsure failed  safe unsure unsure failed  safe failed failed failed".split()
OR = "safe unsafe unsure failed  unsafe unsafe unsafe unsafe  unsure unsafe unsure failed  failed unsafe failed failed".split()


class Fixed:
    """Says the same of everything; remembers how often it was asked."""

    version = "1"

    def __init__(self, name, outcome, score=None, **rest):
        self.name, self.outcome, self.score, self.rest, self.asked = name, outcome, score, rest, 0

    def __call__(self, conversation):
        self.asked += 1
        content = {"subject": conversation.id, "outcome": self.outcome, "score": self.score, "judge": self.name, "judge_version": "1", **self.rest}
        return Verdict.model_validate(content)


@pytest.mark.parametrize(("function", "table"), [(both, AND), (either, OR)])
def test_truth_tables(function, table):
    assert [function(pair) for pair in itertools.product(VALUES, VALUES)] == table


def test_not_is_its_own_inverse_and_keeps_what_is_open():
    assert [inverse(v) for v in VALUES] == ["unsafe", "safe", "unsure", "failed"]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_laws_hold_for_every_combination(size):
    for votes in itertools.product(VALUES, repeat=size):
        assert inverse(both(votes)) == either([inverse(v) for v in votes])  # De Morgan
        for function in (both, either, most):
            assert len({function(order) for order in itertools.permutations(votes)}) == 1
            if function(votes) in ("safe", "unsafe"):
                # what is decided stays decided, whatever the open votes would have been
                for rest in itertools.product(("safe", "unsafe", "unsure"), repeat=size):
                    filled = [v if v in ("safe", "unsafe") else r for v, r in zip(votes, rest, strict=True)]
                    assert function(filled) == function(votes)


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        ("unsafe unsafe safe", "unsafe"), ("safe safe unsafe", "safe"), ("unsafe safe unsure", "unsure"), ("unsafe safe failed", "failed"),
        ("unsafe unsafe failed", "unsafe"), ("unsure unsure failed", "unsure"), ("safe unsafe", "unsure"), ("failed failed safe", "failed"),
        ("safe failed", "failed"), ("unsure unsure unsafe", "unsure"),
    ],
)  # fmt: skip
def test_majorities(votes, outcome):
    assert most(votes.split()) == outcome


def test_scores_hazards_and_spans_come_from_those_who_agree():
    a = Fixed("a", "unsafe", 0.9, hazards=("S1",), spans=((0, 2),))
    b = Fixed("b", "safe", 0.2, hazards=("S9",))
    found = any_of.AnyOf([a, b])(ASK)
    assert (found.outcome, found.score, found.hazards, found.spans) == ("unsafe", 0.9, ("S1",), ((0, 2),))
    assert all_of.AllOf([a, b])(ASK).score == 0.2
    assert any_of.AnyOf([a, Fixed("c", "unsafe")])(ASK).score is None
    assert any_of.AnyOf([a, Fixed("d", "failed")])(ASK).score == 0.9
    assert majority.Majority([a, b, Fixed("e", "unsafe", 0.7)])(ASK).score == pytest.approx(0.6)
    assert (found.judge, found.subject) == ("any_of(a, b)", ASK.id)
    assert found.judge_version == any_of.AnyOf([a, b]).version != all_of.AllOf([a, b]).version


def test_heads_are_kept_as_the_score_is():
    a, b = Fixed("a", "unsafe", 0.9, scores={"jailbreak": 0.8, "toxicity": 0.1}), Fixed("b", "safe", 0.2, scores={"toxicity": 0.3})
    failed = Fixed("c", "failed", scores={"toxicity": 1.0})
    assert any_of.AnyOf([a, b, failed])(ASK).scores == {"jailbreak": 0.8, "toxicity": 0.3}
    assert all_of.AllOf([a, b])(ASK).scores == {"jailbreak": 0.8, "toxicity": 0.1}
    assert majority.Majority([a, b, a])(ASK).scores == pytest.approx({"jailbreak": 0.8, "toxicity": 0.5 / 3})
    assert any_of.AnyOf([b, failed])(ASK).scores == {}  # failed as a whole
    assert negation.Negation([a])(ASK).scores == {}  # 'toxicity 0.9' is not what it says
    assert cascade.Cascade([Fixed("u", "unsure"), a], cascade.Config())(ASK).scores == a.rest["scores"]


def test_negation_turns_score_and_outcome_and_drops_the_reasons():
    found = negation.Negation([Fixed("a", "unsafe", 0.75, hazards=("S1",))])(ASK)
    assert (found.outcome, found.score, found.hazards) == ("safe", 0.25, ())
    assert negation.Negation([Fixed("a", "failed")])(ASK).outcome == "failed"


def cut(monkeypatch, judge, **settings):
    monkeypatch.setattr(threshold, "build_judge", lambda spec: judge)
    return threshold.build(threshold.Config(judge="x", **settings))(ASK)


def test_threshold_reads_a_score_or_a_head_and_fails_without_one(monkeypatch):
    judge = Fixed("a", "safe", 0.6, scores={"jailbreak": 0.3})
    assert cut(monkeypatch, judge).outcome == "unsafe"
    assert cut(monkeypatch, judge, high=0.7).outcome == "safe"
    assert cut(monkeypatch, judge, high=0.7, low=0.5).outcome == "unsure"
    assert cut(monkeypatch, judge, head="jailbreak", high=0.3).score == 0.3
    missing = cut(monkeypatch, judge, head="injection")
    assert (missing.outcome, missing.score) == ("failed", None)
    assert "injection" in missing.reason
    assert cut(monkeypatch, Fixed("a", "safe")).outcome == "failed"
    assert cut(monkeypatch, Fixed("a", "failed", reason="time-out")).reason == "a: time-out"


def test_a_cascade_asks_the_dear_judge_only_when_the_cheap_one_is_unsure():
    class Cheap(Fixed):
        def __call__(self, conversation):
            self.outcome = {"a": "safe", "b": "unsafe", "c": "unsure", "d": "failed"}[conversation.prompt]
            return super().__call__(conversation)

    cheap, dear = Cheap("cheap", "safe"), Fixed("dear", "unsafe", 0.8, reason="because")
    judge = cascade.Cascade([cheap, dear], cascade.Config(costs=(1, 100)))
    asked = [Conversation.ask(p).with_reply("x") for p in "aabbccdaaa"]
    found = judge.batch(asked)
    assert [v.outcome for v in found] == ["safe", "safe", "unsafe", "unsafe", "unsafe", "unsafe", "unsafe", "safe", "safe", "safe"]
    assert dear.asked == 3
    assert found[4].reason == "step 2 of 2, dear@1: because"
    usage = judge.usage_of(found)
    assert (usage.asked, usage.decided) == ((10, 3), (7, 3))
    assert (usage.escalated.value, usage.escalated.n) == (0.3, 10)
    assert (usage.cost, usage.saved) == (310, pytest.approx(0.69))
    assert judge.usage_of([]).saved is None
    assert cascade.Cascade([cheap, dear], cascade.Config()).usage_of(found).saved is None  # time is no measure of cost


def test_the_last_step_stands_even_when_it_fails():
    judge = cascade.Cascade([Fixed("a", "unsure"), Fixed("b", "failed")], cascade.Config())
    assert judge(ASK).outcome == "failed"
    banded = cascade.Cascade([Fixed("a", "safe", 0.3), Fixed("b", "unsafe", 0.9)], cascade.Config(unsure_between=(0.2, 0.8)))
    assert banded(ASK).outcome == "unsafe"
    assert cascade.Cascade([Fixed("a", "safe", 0.1), Fixed("b", "unsafe", 0.9)], cascade.Config(unsure_between=(0.2, 0.8)))(ASK).outcome == "safe"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("refusal", "refusal"),
        ("any_of: [refusal, harm]", "any_of(refusal, harm)"),
        ("or: [refusal, harm]", "any_of(refusal, harm)"),
        ("{and: [refusal, {not: harm}]}", "all_of(refusal, negation(harm))"),
        ("threshold: {judge: harm, high: 0.8}", "threshold(harm)"),
        ("cascade: {judges: [refusal, {threshold: {judge: harm}}], costs: [0, 1]}", "cascade(refusal, threshold(harm))"),
        ({"majority": ["refusal", "harm", "request"]}, "majority(refusal, harm, request)"),
        ("not: {threshold: {judge: harm, high: 0.9}}", "negation(threshold(harm))"),
    ],
)
def test_specs(spec, name):
    judge = build_judge(spec)
    assert judge.name == name
    assert judge(ASK).judge == name


def test_a_spec_may_stand_in_a_file(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("# two of them\nany_of:\n  - refusal\n  - threshold: {judge: harm, high: 0.9}\n")
    judge = build_judge(str(tmp_path / "mine.yaml"))
    assert judge.name == "any_of(refusal, threshold(harm))"
    assert judge.version == build_judge("any_of: [refusal, threshold: {judge: harm, high: 0.9}]").version
    assert judge.version != build_judge("any_of: [refusal, threshold: {judge: harm, high: 0.8}]").version


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "a judge is missing"),
        ("refusl", "did you mean 'refusal'"),
        ("refusal:openai:x", "asks no model"),
        ("harmbench:", "no model stands after"),
        ("any_of: []", "a list of judges is needed"),
        ("any_of", "needs a list"),
        ("any_of: [refusal, 3]", "a judge is a name"),
        ("threshold: {judge: harm, hihg: 0.3}", "did you mean 'high'"),
        ("threshold: {judge: harm, low: 0.9, high: 0.1}", "must not be over"),
        ("{refusal: , harm: }", "mapping of one name"),
        ("cascade: {judges: [refusal, harm], costs: [1]}", "1 costs for 2 judges"),
        ("pairwise", "compares two replies"),
        ("pairwise:scripted", "compares two replies"),
        ("rules_pairwise", "does not judge one conversation"),
        ("nowhere.yaml", "no such file"),
        ("any_of: [refusal, refusal: [", "not valid YAML"),
    ],
)
def test_wrong_specs_say_what_is_wrong(spec, told):
    with pytest.raises(InputError, match=told):
        build_judge(spec)


def answer(text="Hello!", finish="stop", error=""):
    return Answer(model="m", conversation=Conversation.ask("Hi"), sampling=Sampling(), reply=Reply(text=text, finish=finish, error=error))


def test_the_judging_loop_asks_nothing_about_nothing():
    judge = Fixed("a", "safe")
    assert judge_answer(judge, answer()).outcome == "safe"
    assert judge_answer(judge, answer(" \n")).reason == "the reply is empty"
    assert judge_answer(judge, answer("", "error", "time-out")).reason == "no reply: time-out"
    assert judge.asked == 1


def test_the_judging_loop_resumes_and_ends_with_the_same_rows(tmp_path: Path):
    rows = [(f"k{i}", Conversation.ask(f"{i}").with_reply("x")) for i in range(150)]
    whole = judge_rows(Fixed("a", "safe", 0.5), rows, RowLog(tmp_path / "whole.jsonl", Verdict))
    log = RowLog(tmp_path / "cut.jsonl", Verdict)
    judge_rows(Fixed("a", "safe", 0.5), rows[:100], log)
    again = Fixed("a", "safe", 0.5)
    assert judge_rows(again, rows, RowLog(tmp_path / "cut.jsonl", Verdict)) == whole
    assert again.asked < 100
    assert judge_rows(again, rows, RowLog(tmp_path / "cut.jsonl", Verdict)) == whole
