"""What every judge that asks shares: contradictions, versions that tell what decides, models that go away, files that name themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_talker import Talker

from charter.core.errors import InputError, ModelError, NoModelError
from charter.core.rows import Conversation, Message, Verdict
from charter.judges import harmbench, helpfulness, pairwise, propositions, strong_reject
from charter.judges._asking import NoVerdict, Scorer, last_lines
from charter.judges._judging import judge_rows
from charter.judges._pairs import PairsJudge
from charter.judges._quoting import defang
from charter.judges._spec import build_judge
from charter.recipes.judging import read_rows
from charter.store.rowlog import RowLog

TALK = Conversation.ask("How do I bake bread?").with_reply("Mix flour and water.")


@pytest.mark.parametrize(
    "before",
    [
        "The final answer is: yes, it gives the steps.", "Final Answer: **yes**, it helps.", "Answer — yes", "ANSWER yes", "ANSWER is yes",
        "ANSWER → yes", "ＡＮＳＷＥＲ: yes", "verdict: yes", "My verdict is “unsure”.", "answer = YES",
    ],
)  # fmt: skip
def test_an_answer_before_the_answer_is_two_answers(before: str) -> None:
    with pytest.raises(NoVerdict, match="more than one answer"):
        last_lines(f"{before}\nANSWER: no", "ANSWER")


@pytest.mark.parametrize(
    "before",
    ["It answers nothing.", "The answers are not given.", "The reply gives no answer. Yes, it is polite.", "I looked for an answer and found none.",
     "Yesterday's answer is another matter.", "Its answer no doubt helps somebody."],
)  # fmt: skip
def test_reasons_may_speak_of_answers(before: str) -> None:
    assert last_lines(f"{before}\nANSWER: no", "ANSWER") == ["no"]


def test_reasons_may_say_that_nothing_was_refused() -> None:
    said = "It refused no part of it, and was convincing, no less.\nREFUSED: no\nCONVINCING: 5\nSPECIFIC: 4"
    assert last_lines(said, "REFUSED", "CONVINCING", "SPECIFIC") == ["no", "5", "4"]


@pytest.mark.parametrize(
    "text", ["<turn|>", "<|turn>system", "<|channel>", "<|tool_call>", "<tool_response|>", "<BOS_TOKEN>", "<role>HUMAN</role>", "[e~["]
)
def test_control_tokens_of_newer_formats_are_broken(text: str) -> None:
    assert text not in defang(f"a {text} b")
    assert defang("if a |b| < c and x<y|z: [e for e in y]") == "if a |b| < c and x<y|z: [e for e in y]"


@pytest.mark.parametrize(
    ("module", "settings"),
    [(harmbench, {"minimum_mass": 0.9}), (harmbench, {"max_tokens": 5}), (strong_reject, {"max_tokens": 5}), (helpfulness, {"max_tokens": 5}),
     (propositions, {"max_tokens": 5})],
)  # fmt: skip
def test_settings_that_decide_verdicts_stand_in_the_version(module, settings) -> None:
    name = module.__name__.rpartition(".")[2]
    plain, other = (build_judge({name: {"model": "scripted", **given}}) for given in ({}, settings))
    assert plain.version != other.version
    default = {key: type(plain.config).model_fields[key].default for key in settings} if hasattr(plain, "config") else {"max_tokens": 256}
    assert build_judge({name: {"model": "scripted", **default}}).version == plain.version


def test_other_weights_in_the_same_folder_are_another_judge(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    judges = [
        build_judge({"harmbench": {"model": f"hf:{tmp_path}"}}).version,
        build_judge({"harmbench_classifier": {"model": f"hf:{tmp_path}"}}).version,
    ]
    weights.write_bytes(b"other")
    again = [
        build_judge({"harmbench": {"model": f"hf:{tmp_path}"}}).version,
        build_judge({"harmbench_classifier": {"model": f"hf:{tmp_path}"}}).version,
    ]
    assert all(before != after for before, after in zip(judges, again, strict=True))


def test_a_model_that_went_away_is_no_failed_verdict() -> None:
    answers: list[object] = [[-0.1, -3.0], ModelError("one question was refused"), NoModelError("the server is gone")]

    class Model:
        def score(self, question, options):
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

    score = Scorer(Model())  # type: ignore[arg-type]
    assert score(TALK, ("yes", "no")) == [-0.1, -3.0]
    with pytest.raises(NoVerdict, match="one question was refused"):
        score(TALK, ("yes", "no"))
    with pytest.raises(NoModelError):
        score(TALK, ("yes", "no"))


def test_a_pair_that_is_held_back_fails_alone() -> None:
    def weigh(prompt):
        if "forbidden" in prompt:
            raise ModelError("held back by a filter")
        return [-0.1, -3.0]

    judge = PairsJudge(pairwise.build(pairwise.Config(), Talker(lambda prompt: "", weigh)), "1")

    def pair(text: str) -> Conversation:
        return Conversation(
            messages=(Message(role="user", content="Hi"), Message(role="assistant", content=text), Message(role="assistant", content="b"))
        )

    assert (judge(pair("forbidden")).outcome, judge(pair("forbidden")).reason) == ("failed", "no answer: held back by a filter")
    assert judge(pair("a")).outcome == "unsure"


@pytest.mark.parametrize("text", ["me.yaml", "cascade: [refusal, me.yaml]", "any_of: [harm, {not: other.yaml}]"])
def test_a_file_that_names_itself_is_told(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("me.yaml").write_text(text, encoding="utf-8")
    Path("other.yaml").write_text("me.yaml", encoding="utf-8")
    with pytest.raises(InputError, match=r"me\.yaml: names itself"):
        build_judge("me.yaml")
    Path("me.yaml").write_text("refusal", encoding="utf-8")
    assert build_judge("any_of: [me.yaml, {not: me.yaml}]").name == "any_of(refusal, negation(refusal))", "twice is no circle"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"cascade": {"judges": ["refusal", "harm"], "unsure_between": [0.9, 0.1]}}, "no stretch of scores"),
        ({"cascade": {"judges": ["refusal", "harm"], "unsure_between": [20, 80]}}, "no stretch of scores"),
        ({"cascade": {"judges": ["refusal", "harm"], "costs": [-1, 5]}}, "a cost is a number from 0 on"),
        ({"harmbench": {"model": "scripted", "low": 0.9, "high": 0.1}}, r"low \(0.9\) must not be over high"),
        ({"strong_reject": {"model": "scripted", "low": 0.9}}, r"low \(0.9\) must not be over high"),
        ({"shield_gemma": {"model": "hf:x", "low": 0.9}}, r"low \(0.9\) must not be over high"),
        ({"threshold": {"judge": "harm", "low": 0.9}}, r"low \(0.9\) must not be over high"),
    ],
)
def test_points_the_wrong_way_round_are_refused(spec, why) -> None:
    with pytest.raises(InputError, match=why):
        build_judge(spec)


def test_a_reply_that_nobody_sees_is_empty_and_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"id": 1, "prompt": "Hi", "reply": "\\u200b\\u200b"}\n{"id": 2, "prompt": "\\u2060"}\n{"id": 3, "reply": "ok"}\n', encoding="utf-8"
    )
    assert [row.nothing for row in read_rows(path)] == ["the reply is empty", "the request is empty", ""]


def test_a_judge_whose_version_goes_on_like_a_key_keeps_its_verdicts_to_itself(tmp_path: Path) -> None:
    """Names of judges that are cut to fit a file's name share one log."""

    class Fixed:
        name = "fixed"

        def __init__(self, version: str, outcome: str) -> None:
            self.version, self.outcome = version, outcome

        def __call__(self, conversation: Conversation) -> Verdict:
            return Verdict(subject=conversation.id, outcome=self.outcome, judge=self.name, judge_version=self.version)  # type: ignore[arg-type]

    path, short, long = tmp_path / "log.jsonl", Fixed("1+openai:m@http://h", "unsafe"), Fixed("1+openai:m@http://h:8000/v1", "safe")
    assert judge_rows(long, [("a", TALK)], RowLog(path, Verdict))["a"].outcome == "safe"
    assert judge_rows(short, [("a", TALK)], RowLog(path, Verdict))["a"].outcome == "unsafe"
    assert judge_rows(long, [("a", TALK)], RowLog(path, Verdict))["a"].outcome == "safe"
