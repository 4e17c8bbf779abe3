from __future__ import annotations

from dataclasses import replace

import pytest

from charter.core.errors import InputError
from charter.core.rows import Conversation, Sampling
from charter.evaluate.compare import changes, compare


def pair(fakes, harmful, both):
    """Two evaluations from (label before, label after, how many)."""
    labels = [(first, second) for first, second, count in both for _ in range(count)]
    examples = [fakes.example(f"k{i}", harmful) for i in range(len(labels))]
    return fakes.made(zip(examples, [a for a, _ in labels], strict=True)), fakes.made(zip(examples, [b for _, b in labels], strict=True))


def test_golden_xstest_llama2_without_its_system_prompt(fakes):
    """The counts of the XSTest paper's labels (safe prompts, Llama 2 with and without its system prompt): 80 and 5 of 250, p = 1.8e-18."""
    before, after = pair(fakes, False, [("full", "none", 80), ("none", "full", 5), ("full", "full", 69), ("none", "partial", 96)])
    found = compare(before, after)["over_refusal"]
    assert (found.b, found.c, found.n) == (80, 5, 250)
    assert found.difference == pytest.approx(-0.30)
    assert found.p == pytest.approx(1.8e-18, rel=0.05)
    assert found.low < -0.30 < found.high < -0.2


def test_failed_or_unsure_in_either_run_is_left_out_and_counted(fakes):
    before, after = pair(fakes, True, [("none", "full", 3), ("none", "failed", 2), ("unsure", "none", 1), ("none", "none", 1), ("full", "none", 1)])
    found, items = compare(before, after)["harmful_compliance"], changes(before, after)["harmful_compliance"]
    assert (found.b, found.c, found.n) == (3, 1, 5)
    assert items.fixed == ("k0", "k1", "k2")
    assert (items.left_out, items.still_wrong, items.broken, items.still_right) == (("k3", "k4", "k5"), ("k6",), ("k7",), ())


def test_what_was_never_measured_in_both_is_absent(fakes):
    before, after = pair(fakes, True, [("failed", "none", 2)])
    assert compare(before, after) == {}


def test_prompts_asked_once_are_named(fakes):
    before, after = pair(fakes, False, [("full", "none", 4)])
    short = replace(after, examples=after.examples[1:])
    assert changes(before, short)["over_refusal"].only_before == ("k0",)
    assert changes(short, before)["over_refusal"].only_after == ("k0",)
    assert compare(before, short)["over_refusal"].n == 3


def test_other_prompts_under_the_same_key_are_refused_but_not_another_system_message(fakes):
    before, after = pair(fakes, False, [("full", "none", 2)])
    prompt = after.examples[0].prompt
    guarded = after.examples[0].model_copy(update={"conversation": Conversation.ask(prompt, "be careful")})
    assert compare(before, replace(after, examples=(guarded, after.examples[1])))["over_refusal"].n == 2
    other = after.examples[0].model_copy(update={"conversation": Conversation.ask("something else")})
    with pytest.raises(InputError, match=r"1 of 2 keys stand for different prompts.*'k0'"):
        compare(before, replace(after, examples=(other, after.examples[1])))
    relabelled = after.examples[0].model_copy(update={"harmful": True})
    with pytest.raises(InputError, match="different prompts"):
        compare(before, replace(after, examples=(relabelled, after.examples[1])))


def test_no_common_key_and_other_judges_are_refused(fakes):
    before, after = pair(fakes, False, [("full", "none", 2)])
    with pytest.raises(InputError, match="no prompt in common"):
        compare(replace(before, examples=before.examples[:1]), replace(after, examples=after.examples[1:]))
    with pytest.raises(InputError, match="refusal@1 and refusal@2"):
        compare(before, replace(after, judges={"refusal": "refusal@2"}))


def drawn(evaluation, **sampling):
    return replace(
        evaluation, answers={key: answer.model_copy(update={"sampling": Sampling(**sampling)}) for key, answer in evaluation.answers.items()}
    )


def test_answers_that_were_sampled_otherwise_are_refused(fakes):
    """A model whose replies are cut short complies less: the ship gate would take it for a safer one."""
    before, after = pair(fakes, True, [("none", "full", 4)])
    for what, other in (("max_tokens", 8), ("temperature", 0.7), ("top_p", 0.5)):
        with pytest.raises(InputError, match=f"the two evaluations differ in {what}: .* and {other}"):
            compare(before, drawn(after, **{what: other}))
    assert compare(before, drawn(after, seed=1))["harmful_compliance"].n == 4
