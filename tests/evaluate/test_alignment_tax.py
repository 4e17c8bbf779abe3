"""The two halves of the alignment-tax check: replies to plain instructions, and the likelihood of good answers."""

from __future__ import annotations

import json
import math

import pytest
from _answering import FAILED, numbers, said
from hypothesis import given
from hypothesis import strategies as st

from charter.core.errors import DataError
from charter.core.resampling import logit_t
from charter.core.rows import Reply, Verdict
from charter.data.care import must_drop
from charter.evaluate.benchmarks import alignment_tax, answer_likelihood
from charter.evaluate.benchmarks._variety import distinct
from charter.evaluate.benchmarks.alignment_tax import repetition
from charter.judges import refusal

WORDS = st.lists(st.sampled_from("abc"), max_size=30)


@given(WORDS, st.integers(1, 4))
def test_repetition_and_distinct_are_the_published_ratios(words, n):
    grams = [" ".join(words[at : at + n]) for at in range(len(words) - n + 1)]
    assert repetition(words, n) == pytest.approx(1 - len(set(grams)) / len(grams) if grams else 0.0)
    assert distinct("x", {"a": [words]}, n, {}).value == (pytest.approx(len(set(grams)) / len(grams)) if grams else None)


def test_distinct_is_over_all_texts_and_no_pair_spans_two():
    found = distinct("x", {"1": [["a", "b"], ["b", "c"]], "2": [["a", "b"]]}, 2, {})
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert distinct("x", {"1": [["a"]], "2": [["b"]]}, 2, {}).value is None


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(1, 2))
def test_distinct_lies_inside_its_interval_whatever_is_said(texts, n):
    found = distinct("x", {str(at): [words] for at, words in enumerate(texts)}, n, {})
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high


def test_distinct_knows_that_what_a_pair_shares_is_lost_only_with_both():
    """The jackknife with Efron and Stein's correction, against the same worked out by leaving items out."""
    texts = {str(at): [f"a b c {at % 3} {at % 5} d{at} e".split()] for at in range(9)}

    def value(without):
        grams = [gram for key, found in texts.items() if int(key) not in without for gram in found[0]]
        return len(set(grams)) / len(grams)

    n, whole, one = 9, value(()), [value((i,)) for i in range(9)]
    plain = (n - 1) / n * sum((x - sum(one) / n) ** 2 for x in one)
    pairs = [n * whole - (n - 1) * (one[i] + one[j]) + (n - 2) * value((i, j)) for i in range(n) for j in range(i)]
    variance = plain - 0.75 * sum((x - sum(pairs) / len(pairs)) ** 2 for x in pairs) / (n * (n - 1))
    low, high = logit_t(whole, math.sqrt(variance), n - 1)
    found = distinct("x", texts, 1, {})
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def read(texts):
    """Metrics over replies to as many instructions; a reply of None failed."""
    benchmark = alignment_tax.build(alignment_tax.Config())
    examples = benchmark.examples()[: len(texts)]
    judges = {"refusal": refusal.build(refusal.Config())}
    verdicts = {
        e.key: [FAILED if text is None else benchmark.verdict(e, Reply(text=text, finish="length" if text.endswith("...") else "stop"), judges)]
        for e, text in zip(examples, texts, strict=True)
    }
    return {m.name.removeprefix("alignment_tax/all/"): m for m in benchmark.metrics(examples, verdicts)}, verdicts


GOOD = "Rinse the rice, cook it with the lid on for fifteen minutes, and let it rest."
LOOP = "I like rice very much. " * 10
REFUSAL = "I'm sorry, but I can't help with that."


def test_a_broken_a_cut_and_a_refusing_model_are_seen():
    found, verdicts = read([GOOD, LOOP, REFUSAL, "The journey takes an hour and a half because ...", None])
    assert [v[0].outcome for v in verdicts.values()] == ["safe", "unsafe", "unsafe", "safe", "failed"]
    assert (found["refused"].value, found["refused"].n, found["refused"].n_failed) == (0.25, 4, 1)
    assert (found["looping"].value, found["cut"].value) == (0.25, 0.25)
    assert found["words"].value == pytest.approx((16 + 50 + 8 + 9) / 4, abs=1)
    assert found["repetition"].value == pytest.approx((1 - 5 / 47) / 4)
    assert found["refused"].method == f"wilson95; refusal@{refusal.RefusalJudge.version}"


def test_the_same_words_to_everybody_lower_distinct_and_length_does_not():
    different = [f"Number {n} is {n * 7} and {n * 11} with {n * 13} apples for {n}." for n in range(30)]
    dull = [f"Sure, I am glad to help you with your question number {n}." for n in range(30)]
    long = [text + " " + " ".join(f"{n}x{at}" for at in range(60)) for n, text in enumerate(different)]
    values = [read(texts)[0]["distinct_2"].value for texts in (different, dull)]
    assert values[0] > 2 * values[1]
    found = read(long)[0]["distinct_2"]
    assert found.value >= values[0]
    assert found.low <= found.value <= found.high
    assert found.method == "logit jackknife95 over 30 items"


def test_a_judge_that_is_unsure_makes_no_number():
    benchmark = alignment_tax.build(alignment_tax.Config())
    example = benchmark.examples()[0]
    unsure = {"refusal": lambda conversation: Verdict(subject="s", outcome="unsure", label="unsure", judge="r", judge_version="1")}
    verdict = benchmark.verdict(example, Reply(text=GOOD, finish="stop"), unsure)
    found = benchmark.metrics([example], {example.key: [verdict]})
    assert verdict.outcome == "unsure"
    assert all(m.value is None and m.n_unparsed == 1 for m in found)


def test_charters_instructions_are_answered_plain_and_of_six_kinds():
    examples = alignment_tax.build(alignment_tax.Config()).examples()
    kinds = [e.tags[0] for e in examples]
    assert (len(examples), len({e.prompt for e in examples}), {kinds.count(kind) for kind in kinds}) == (48, 48, {8})
    judge = refusal.build(refusal.Config())
    assert all(judge(e.conversation.with_reply(e.target)).label == "none" for e in examples)
    assert not any(must_drop(f"{e.prompt} {e.target}") for e in examples)


def test_ones_own_file_is_read_and_a_broken_row_is_named(tmp_path):
    file = tmp_path / "mine.jsonl"
    rows = [{"kind": "k", "prompt": "a?", "answer": "b"}, {"kind": "k", "prompt": "c?", "answer": "d"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert [e.prompt for e in alignment_tax.build(alignment_tax.Config(path=file)).examples()] == ["a?", "c?"]
    assert len(answer_likelihood.build(answer_likelihood.Config(path=file)).examples()) == 2
    file.write_text(json.dumps(rows[0]))
    with pytest.raises(DataError, match="two instructions or more"):
        answer_likelihood.build(answer_likelihood.Config(path=file)).examples()
    file.write_text(json.dumps({**rows[0], "answer": " "}))
    with pytest.raises(DataError, match="row 1"):
        alignment_tax.build(alignment_tax.Config(path=file)).examples()


@pytest.mark.parametrize("form", ["chat", "plain"])
def test_bits_per_byte_do_not_depend_on_the_option_beside_it(form):
    benchmark = answer_likelihood.build(answer_likelihood.Config(form=form))
    examples = benchmark.examples()
    own, other = benchmark.options(examples[0])
    assert own.strip() == examples[0].target
    assert other.strip() == examples[1].target
    size = len(own.strip().encode())
    verdict = benchmark.verdict(examples[0], said(benchmark, examples[0], (-size * math.log(2), -9999.0)), {})
    assert verdict.scores["bits_per_byte"] == pytest.approx(1.0)
    assert verdict.score == pytest.approx(0.5)
    found = numbers(benchmark, examples, lambda e: [-2 * len(option.strip().encode()) * math.log(2) for option in benchmark.options(e)])
    assert found[f"answer_likelihood[{form}]/all/bits_per_byte"].value == pytest.approx(2.0)
    assert found[f"answer_likelihood[{form}]/reason/bits_per_byte"].n == 8


def test_a_model_that_does_not_listen_fits_nothing():
    benchmark = answer_likelihood.build(answer_likelihood.Config())
    examples = benchmark.examples()
    per_byte = {option: -0.1 * (n + 1) for n, option in enumerate(sorted({o for e in examples for o in benchmark.options(e)}))}
    found = numbers(benchmark, examples, lambda e: [per_byte[option] * len(option.encode()) for option in benchmark.options(e)])
    fitting = found["answer_likelihood[chat]/all/fitting"]
    assert fitting.low < 0.5 < fitting.high
