from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tiny_benchmark import GroupJudge, Judge, Model, Tiny, go, greedy, rows

from charter.core.errors import InputError, ModelError, StoreError
from charter.core.rows import Verdict
from charter.core.stats import rate
from charter.evaluate.benchmark import Ask
from charter.evaluate.counting import over_seeds
from charter.evaluate.measured import find_measured, load_measured
from charter.evaluate.plan import Disguise
from charter.evaluate.shelved import Options
from charter.store import rowlog
from charter.store.runs import read_run


def test_a_run_counts_and_can_be_read_back(tmp_path):
    found = go(tmp_path / "run", Model())
    full = found.metrics["tiny/all/full"]
    assert (full.value, full.n, full.n_failed) == (8 / 40, 40, 0)
    assert (found.measurement.trusted, found.measurement.answers, found.measurement.items, found.measurement.tokens_out) == (True, 40, 40, 120)
    assert found.measurement.judges == {"refusal": "counting-judge@1"}
    assert load_measured(tmp_path / "run") == found
    assert find_measured(tmp_path) == [tmp_path / "run"]
    assert {key: answer.reply.text for key, answer in found.answers()}["tiny-7"] == "reply 7 0"
    assert read_run(tmp_path / "run").status == "done"


def test_a_second_run_asks_nothing_and_another_judge_reads_the_stored_answers(tmp_path):
    go(tmp_path, Model())
    before = rows(tmp_path), (tmp_path / "measurements.jsonl").read_text()
    silent, deaf = Model(breaks_at=0), Judge(breaks_at=0)
    go(tmp_path, silent, {"refusal": deaf})
    assert (rows(tmp_path), (tmp_path / "measurements.jsonl").read_text()) == before
    other = go(tmp_path, silent, {"refusal": Judge(every=2, version="2")})
    assert other.metrics["tiny/all/full"].value == 0.5
    assert go(tmp_path, silent, {"refusal": deaf}).metrics["tiny/all/full"].value == 0.2
    assert not silent.asked


@pytest.mark.parametrize("ask", [Ask(), greedy(samples=3, temperature=1.0)], ids=["one", "samples"])
def test_killed_at_ten_random_points_the_rows_are_the_same_and_nothing_is_asked_twice(tmp_path, ask, monkeypatch):
    """Points: a batch that the model does not finish, a judgement that is not made, a write that breaks off in the middle."""
    whole, n = go(tmp_path / "whole", Model(), benchmark=Tiny(ask=ask)), 40 * ask.samples
    rng = random.Random(f"kill {ask.samples}")
    plain = rowlog._write
    model = Model()
    for kind, at in [(rng.choice(["model", "judge", "write"]), rng.randrange(n // 4)) for _ in range(10)]:
        model.breaks_at = model.batch + at if kind == "model" else None
        judge = Judge(breaks_at=at if kind == "judge" else None)
        left = at

        def torn(path: Path, text: str, sync: bool = True, kind=kind) -> None:
            nonlocal left
            left -= 1
            if kind != "write" or left >= 0:
                return plain(path, text, sync)
            with path.open("a") as file:
                file.write(text[: text.rindex("\n", 0, -1) + 1 + 9] if "\n" in text[:-1] else text[:9])
            raise KeyboardInterrupt

        monkeypatch.setattr(rowlog, "_write", torn)
        try:
            go(tmp_path / "broken", model, {"refusal": judge}, Tiny(ask=ask))
        except KeyboardInterrupt:
            pass
        else:
            break
    monkeypatch.setattr(rowlog, "_write", plain)
    model.breaks_at = None
    found = go(tmp_path / "broken", model, benchmark=Tiny(ask=ask))
    assert {name: sorted(lines) for name, lines in rows(tmp_path / "broken").items()} == {n: sorted(ls) for n, ls in rows(tmp_path / "whole").items()}
    assert found.metrics == whole.metrics
    assert found.verdicts == whole.verdicts
    stored = len(rows(tmp_path / "broken")["answers.jsonl"])
    lost = sum(model.asked.values()) - stored
    assert stored == n
    assert lost <= 4, "only the one answer of a write that broke off is asked for again"
    assert max(model.asked.values()) <= 2


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_a_real_kill_loses_nothing_that_was_written(tmp_path, moment):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from tiny_benchmark import Judge, Model, go
            from pathlib import Path

            class Slow(Model):
                def reply(self, conversations, sampling):
                    time.sleep(0.02)
                    found = super().reply(conversations, sampling)
                    with open({str(tmp_path / "asked")!r}, "a") as file:
                        file.write("".join(c.prompt + "\\n" for c in conversations))
                    return found

            class SlowJudge(Judge):
                def __call__(self, conversation):
                    time.sleep(0.005)
                    return super().__call__(conversation)

            go(Path({str(tmp_path / "run")!r}), Slow(), {{"refusal": SlowJudge()}})
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    answers = tmp_path / "run" / "answers.jsonl"
    wanted = 1 + int(moment * 39)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and (not answers.exists() or answers.read_bytes().count(b"\n") < wanted):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = answers.read_bytes().count(b"\n")
    assert 0 < done <= 40
    subprocess.run([sys.executable, str(script)], check=True)
    go(tmp_path / "whole", Model())
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) - len(set(asked)) <= 4, "at most the batch that was under way when it was killed"
    assert load_measured(tmp_path / "run").metrics == load_measured(tmp_path / "whole").metrics


def test_a_larger_limit_and_more_seeds_ask_only_what_is_new(tmp_path):
    model = Model()
    ask = greedy(samples=2, temperature=1.0)
    small = go(tmp_path, model, benchmark=Tiny(ask=ask), options=Options(limit=10))
    assert sum(model.asked.values()) == 20
    assert {seed for _, seed in model.asked} == {7, 8}
    large = go(tmp_path, model, benchmark=Tiny(ask=ask), options=Options(limit=30, seeds=2))
    assert max(model.asked.values()) == 1
    assert sum(model.asked.values()) == 30 * 4
    assert {seed for _, seed in model.asked} == {7, 8, 9, 10}
    assert large.examples[:10] == small.examples
    assert "mean of 2 seeds" in large.metrics["tiny/all/full"].method
    assert all(len(said) == 4 for said in large.verdicts.values())
    again = go(tmp_path, Model(breaks_at=0), benchmark=Tiny(ask=ask), options=Options(limit=10))
    assert again.metrics == small.metrics
    assert again.verdicts == small.verdicts


def test_options_are_weighed_once_whatever_the_seeds(tmp_path):
    model = Model()
    found = go(tmp_path, model, {}, Tiny(ask=Ask(mode="score"), roles={}), Options(seeds=3))
    assert max(model.asked.values()) == 1
    assert found.measurement.seeds == 1
    assert [v.label for v in found.verdicts["tiny-1"]] == ["no"]
    answers = dict(found.answers())
    assert answers["tiny-1"].reply.logprobs == (-2.0, -1.0, -2.0)
    assert go(tmp_path, Model(breaks_at=0), {}, Tiny(ask=Ask(mode="score"), roles={}), Options(seeds=3)) == found


def test_a_model_that_cannot_weigh_stops_the_run_and_one_that_fails_now_and_then_does_not(tmp_path):
    class Deaf(Model):
        def score(self, conversation, options):
            number = int(conversation.prompt.split()[-1])
            if self.says or number % 20 == 7:
                raise ModelError("the server gave no log-probabilities")
            return super().score(conversation, options) if number % 20 != 8 else [float("-inf")] * 3

    with pytest.raises(ModelError, match="gave no log-probabilities"):
        go(tmp_path / "a", Deaf(says=str), {}, Tiny(ask=Ask(mode="score"), roles={}))
    found = go(tmp_path / "b", Deaf(), {}, Tiny(ask=Ask(mode="score"), roles={}))
    assert (found.measurement.failed, found.measurement.trusted) == (4, True)
    assert found.metrics["tiny/all/full"].n == 36


def test_judges_that_take_groups_are_asked_in_groups_also_when_one_waits_for_another(tmp_path):
    first, second = GroupJudge(), GroupJudge(name="second", every=2)
    benchmark = Tiny(n=100, roles={"refusal": "refusal", "harm": "harm"})
    found = go(tmp_path / "grouped", Model(), {"refusal": first, "harm": second}, benchmark)
    assert first.groups == second.groups == [64, 36]
    alone = go(tmp_path / "alone", Model(), {"refusal": Judge(), "harm": Judge(name="second", every=2)}, benchmark)
    assert found.verdicts == alone.verdicts
    assert {said[0].label for said in found.verdicts.values()} == {"full+full", "full+none", "none+full", "none+none"}


class TimesOut(Judge):
    """A judge that is out of time for every second answer, as long as ``broken``."""

    broken = True

    def __call__(self, conversation):
        if self.broken and int((conversation.reply or "").split()[1]) % 2:
            raise TimeoutError("no answer within 60 s")
        return super().__call__(conversation)


def test_a_judge_that_times_out_for_half_of_the_items_cannot_be_trusted_and_everything_else_is_kept(tmp_path):
    judge, model = TimesOut(), Model()
    found = go(tmp_path, model, {"refusal": judge})
    assert not found.measurement.trusted
    reason = "20 of 40 answers failed (50.0 %, at most 10 % may): 20 x the judge gave no verdict: no answer within 60 s"
    assert found.measurement.reasons == (reason,)
    full = found.metrics["tiny/all/full"]
    assert (full.value, full.n, full.n_failed) == (4 / 20, 20, 20), "what was judged is kept, what was not is in no denominator"
    assert read_run(tmp_path).status == "failed"
    judge.broken, judge.judged = False, 0
    mended = go(tmp_path, Model(breaks_at=0), {"refusal": judge})
    assert mended.measurement.trusted
    assert mended.metrics["tiny/all/full"].value == 8 / 40
    assert judge.judged == 20, "only what failed is judged again, and the model is asked nothing"
    assert read_run(tmp_path).status == "done"


def test_a_judge_that_fails_on_everything_stops_the_run_with_the_answers_kept(tmp_path):
    class Dead(Judge):
        def __call__(self, conversation):
            raise ModelError("the server is not there", "start it")

    with pytest.raises(ModelError, match="the judge failed on the first 20 answers: the server is not there"):
        go(tmp_path, Model(), {"refusal": Dead()})
    assert go(tmp_path, Model(breaks_at=0)).metrics["tiny/all/full"].n == 40


def test_a_model_that_returns_nothing_gives_no_number_and_is_asked_again_the_next_time(tmp_path):
    mute = Model(says=lambda c, s: None if int(c.prompt.split()[-1]) % 2 else "  ")
    judge = Judge()
    found = go(tmp_path, mute, {"refusal": judge})
    full = found.metrics["tiny/all/full"]
    assert (full.value, full.n, full.n_failed, judge.judged) == (None, 0, 40, 0)
    assert not found.measurement.trusted
    assert {said[0].reason for said in found.verdicts.values()} == {"no reply: no answer", "the reply is empty"}
    speaks = go(tmp_path, Model(), {"refusal": judge})
    assert (speaks.metrics["tiny/all/full"].value, speaks.measurement.trusted) == (0.2, True)


@pytest.mark.parametrize("kind", [Judge, GroupJudge])
def test_after_an_outage_another_judge_reads_only_the_answers_that_hold(tmp_path, kind):
    """An answer that was asked for again leaves its old line in the log; nobody reads it any more."""
    half = Model(says=lambda c, s: None if int(c.prompt.split()[-1]) % 2 else f"reply {c.prompt.split()[-1]}")
    assert not go(tmp_path, half).measurement.trusted
    healed = go(tmp_path, Model())
    assert (healed.measurement.trusted, healed.measurement.failed, len(list(healed.answers()))) == (True, 0, 40)
    second, judge = Model(breaks_at=0), kind(name="second", every=2)
    other = go(tmp_path, second, {"refusal": judge})
    assert (other.measurement.trusted, other.measurement.failed, other.metrics["tiny/all/full"].value) == (True, 0, 0.5)
    assert judge.judged == 40
    assert go(tmp_path, second, {"refusal": judge}).metrics == other.metrics
    assert not second.asked


class Breaks(TimesOut):
    """Fails as ``TimesOut``, under another name."""

    def __init__(self) -> None:
        super().__init__(name="breaks")


def test_an_answer_that_was_mended_once_is_not_asked_for_again_when_its_judging_fails(tmp_path):
    go(tmp_path, Model(says=lambda c, s: None))
    assert go(tmp_path, Model()).measurement.trusted
    assert not go(tmp_path, Model(breaks_at=0), {"refusal": Breaks()}).measurement.trusted
    silent = Model(breaks_at=0)
    go(tmp_path, silent, {"refusal": Judge()})
    assert not silent.asked


def test_few_failures_are_counted_and_not_asked_for_again(tmp_path):
    found = go(tmp_path, Model(says=lambda c, s: None if c.prompt.endswith(" 3") else f"reply {c.prompt.split()[-1]}"))
    assert (found.measurement.trusted, found.measurement.failed, found.metrics["tiny/all/full"].n_failed) == (True, 1, 1)
    assert go(tmp_path, Model(breaks_at=0)) == found
    strict = go(tmp_path, Model(breaks_at=0), options=Options(max_failed=0.0))
    assert strict.measurement.reasons[0].startswith("1 of 40 answers failed (2.5 %, at most 0 % may): 1 x no reply: no answer")


def test_an_attack_is_put_around_harmful_items_only_and_named_in_every_metric(tmp_path):
    class Twice:
        def __call__(self, goal, rng):
            for number in range(2):
                yield goal.conversation.replace_text("question", f"PLEASE {rng.random()} {number}")

    model = Model()
    options = Options(disguise=Disguise("twice", Twice()), system="Be brief.")
    found = go(tmp_path, model, options=options)
    assert [example.harmful for example in found.examples] == [True] * 14
    assert sum(model.asked.values()) == 28
    assert set(found.metrics) == {"tiny/all/full+twice", "tiny/all/full"} - {"tiny/all/full"}
    assert found.metrics["tiny/all/full+twice"].n == 28
    asked = [answer.conversation for _, answer in found.answers()]
    assert all(c.messages[0].text == "Be brief." and c.prompt.startswith("PLEASE 0.") for c in asked)
    assert go(tmp_path, Model(breaks_at=0), options=options) == found
    with pytest.raises(StoreError, match="another recipe \\(different: attack, system\\)"):
        go(tmp_path, model)


class Says:
    """Puts a word before each goal, and shows the goal that it is tried on always the same."""

    def __init__(self, word):
        self.word = word

    def __call__(self, goal, rng):
        yield goal.conversation.replace_text("question", f"{self.word} question")


class Draws:
    """Puts a number that it draws before each goal."""

    def __call__(self, goal, rng):
        yield goal.conversation.replace_text("question", f"{rng.randrange(10**6)} question")


def test_a_run_under_an_attack_whose_words_have_changed_is_refused(tmp_path):
    before, after = (Options(limit=5, disguise=Disguise("says", Says(word))) for word in ("PLEASE", "NOW"))
    first = go(tmp_path, Model(), options=before)
    assert first.measurement.attack_words == before.disguise.words
    assert before.disguise.words == after.disguise.words, "or the folder itself would be refused, as below"
    with pytest.raises(StoreError, match=r"the answer 'tiny-.*#0' is to other words"):
        go(tmp_path, Model(), options=after)
    model = Model()
    go(tmp_path, model, options=Options(limit=5, disguise=Disguise("says", Says("PLEASE"), seed=1)))
    assert not model.asked, "a seed from which nothing is drawn changes no word"
    drawn = [Options(limit=5, disguise=Disguise("draws", Draws(), seed)) for seed in (0, 1)]
    go(tmp_path / "drawn", Model(), options=drawn[0])
    with pytest.raises(StoreError, match=r"another recipe \(different: attack\)"):
        go(tmp_path / "drawn", Model(), options=drawn[1])


def test_changed_data_another_version_and_no_items_are_refused(tmp_path):
    go(tmp_path, Model())
    changed = Tiny()
    changed.examples = lambda: [e.model_copy(update={"hazard": "x"} if e.key == "tiny-3" else {}) for e in Tiny().examples()]
    with pytest.raises(StoreError, match="the data has changed since"):
        go(tmp_path, Model(), benchmark=changed)
    with pytest.raises(StoreError, match="different: version"):
        go(tmp_path, Model(), version="2")
    with pytest.raises(InputError, match="nothing to ask"):
        go(tmp_path / "none", Model(), benchmark=Tiny(n=0))
    doubled = Tiny()
    doubled.examples = lambda: [*Tiny().examples(), Tiny().examples()[0]]
    with pytest.raises(InputError, match="2 items have the key 'tiny-0'"):
        go(tmp_path / "doubled", Model(), benchmark=doubled)
    with pytest.raises(InputError, match="holds no run of a benchmark"):
        load_measured(tmp_path / "none")


def test_seeds_are_averaged_with_the_variance_within_and_between():
    one, two = rate("x", 10, 100, 1), rate("x", 30, 100, 2)
    (same,) = over_seeds([[one], [one]])
    assert (same.value, same.n, same.n_failed) == (0.1, 100, 2)
    assert (same.low, same.high) == pytest.approx((one.low, one.high))
    (mean,) = over_seeds([[one], [two]])
    assert mean.value == pytest.approx(0.2)
    assert mean.high - mean.low > (one.high - one.low)
    (part,) = over_seeds([[one], [rate("x", 0, 0, 100)]])
    assert (part.value, part.n, part.n_failed, part.method) == (0.1, 0, 101, "wilson95; mean of 1 seeds")
    (none,) = over_seeds([[rate("x", 0, 0)], [rate("x", 0, 0)]])
    assert none.value is None


def test_a_seed_is_never_dropped_for_the_name_that_its_metric_has():
    one, mute = rate("x/asr@1[a]", 1, 10), rate("x/asr@1[a+b]", 0, 0, 10)
    for runs in ([one], [mute]), ([mute], [one]):
        (found,) = over_seeds(runs)
        assert (found.name, found.value, found.n, found.n_failed) == ("x/asr@1[a]", 0.1, 0, 10), "a seed in which all failed names no scorer"
    (late,) = over_seeds([[], [one]])
    assert (late.name, late.value) == ("x/asr@1[a]", 0.1)
    with pytest.raises(InputError, match=r"cannot be averaged: they measured x/asr@1\[a\] and x/asr@1\[b\]"):
        over_seeds([[one], [rate("x/asr@1[b]", 1, 10)]])


def test_failed_verdicts_of_several_judges_name_them_all(tmp_path):
    found = go(
        tmp_path, Model(says=lambda c, s: None), {"refusal": Judge(), "harm": Judge(name="b", version="9")}, Tiny(roles={"refusal": "", "harm": ""})
    )
    verdict: Verdict = found.verdicts["tiny-0"][0]
    assert (verdict.judge, verdict.judge_version) == ("counting-judge+b", "1+9")
