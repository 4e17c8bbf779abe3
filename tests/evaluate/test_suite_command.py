"""``charter evaluate --suite`` from the outside: files in, exit code, table and JSON out."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest

from charter.cli import app
from charter.core import registry
from charter.core.errors import CharterError, InputError
from charter.evaluate.suites import read_suite, shipped
from charter.judges._card_files import place_of
from charter.judges._cards import Card
from charter.judges._spec import build_judge
from charter.recipes.evaluation import evaluate

typer_testing = pytest.importorskip("typer.testing")
DATA = Path(os.environ.get("CHARTER_DATA", "/nonexistent"))
needs_data = pytest.mark.skipif(not (DATA / "xstest" / "completions").is_dir(), reason="needs XSTest under CHARTER_DATA")
#: full and partial refusal on safe, full refusal and full compliance on unsafe prompts, in per cent: the published tables.
PUBLISHED = {"gpt4": (6.4, 2.0, 97.5, 0.5), "llama2new": (14.0, 15.6, 97.5, 0.0)}


def charter(*arguments):
    return typer_testing.CliRunner().invoke(app, ["evaluate", *map(str, arguments), "-q"])


@pytest.fixture
def xstest(tmp_path, monkeypatch):
    """A small XSTest: 250 and 200 made-up prompts, taken as another version."""
    folder = tmp_path / "data" / "xstest"
    folder.mkdir(parents=True)
    rows = [(i, f"safe question {i}", ("homonyms", "definitions")[i % 2], "safe") for i in range(250)]
    rows += [(250 + i, f"unsafe question {250 + i}", "contrast_homonyms", "unsafe") for i in range(200)]
    with (folder / "xstest_prompts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "prompt", "type", "label"), *rows])
    suite = tmp_path / "mine.yaml"
    suite.write_text("benchmarks: [{benchmark: xstest, limit: 90, settings: {other_version: true, max_tokens: 8}}]\n")
    monkeypatch.setenv("CHARTER_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return suite


def script(path, *rules, default="Sure."):
    path.write_text(json.dumps({"rules": list(rules), "default": default}))
    return f"scripted:{path}"


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("model", PUBLISHED)
def test_released_replies_with_peoples_labels_give_the_published_table(tmp_path, model):
    """Ids as the replies' file has them (v2-1) for the replies, and as the prompts' file has them (1) for the labels."""
    with (DATA / "xstest" / "completions" / f"xstest_v2_completions_{model}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    words = {"1_full_compliance": "none", "2_full_refusal": "full", "3_partial_refusal": "partial"}
    replies = lines(tmp_path / "replies.jsonl", [{"id": row["id"], "reply": row["completion"]} for row in rows])
    labels = lines(tmp_path / "labels.jsonl", [{"id": row["id"].removeprefix("v2-"), "label": words[row["final_label"]]} for row in rows])
    done = charter(
        model, "--suite", "xstest", "--replies", replies, "--judge", f"human:{labels}", "--json", tmp_path / "m.json", "--out", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "m.json").read_text())
    names = ("safe/full_refusal", "safe/partial_refusal", "unsafe/full_refusal", "unsafe/full_compliance")
    metrics = [found["metrics"][f"xstest/{name}"] for name in names]
    assert tuple(round(100 * metric["value"], 1) for metric in metrics) == PUBLISHED[model]
    assert [metric["n"] for metric in metrics] == [250, 250, 200, 200]
    assert all(metric["n_failed"] == metric["n_unparsed"] == 0 for metric in metrics)
    assert all(metric["method"].startswith("wilson95; human@") for metric in metrics)
    assert (found["model"], found["trusted"], found["runs"][0]["items"]) == (model, True, 450)


def test_rates_are_corrected_by_cards_of_ones_own(tmp_path, xstest):
    """A card in the folder of --cards, or where charter judges measure writes it; a broken one is told before anything is asked."""
    judge, model = build_judge("any_of: [refusal]"), script(tmp_path / "m.yaml", default="I'm sorry, but I can't help with that.")
    spec = f"refusal={tmp_path / 'judge.yaml'}"
    (tmp_path / "judge.yaml").write_text("any_of: [refusal]\n")
    counts = {"n": 100, "n_failed": 0, "tp": 40, "fn": 10, "fp": 5, "tn": 45}
    row = {"judge_set": "xstest_replies_even", "title": "x", "task": "refusal", "labelled_by": "people", "decision": "x", "development": "", "n": 100,
           "n_positive": 50, "n_failed": 0, "n_unsure": 0, "dropped": {}, "figures": {}, "decided": counts, "sha256": "a", "revision": "",
           "licence": "x"}  # fmt: skip
    card = Card.model_validate({"judge": judge.name, "version": judge.version, "made": "2026-01-01", "rows": [row]})
    (tmp_path / "mine").mkdir()
    file = place_of(judge, tmp_path / "mine")
    file.write_text(card.model_dump_json())

    def corrected(*more):
        done = charter(
            model, "--suite", xstest, "--judge", spec, "--json", tmp_path / "m.json", "--out", tmp_path / "out", "--max-failed", "1", *more
        )
        assert done.exit_code == 0, done.output
        return "xstest/safe/any_refusal/corrected" in json.loads((tmp_path / "m.json").read_text())["metrics"]

    assert not corrected()
    assert corrected("--cards", tmp_path / "mine")
    (tmp_path / "runs" / "judges").mkdir(parents=True)
    (tmp_path / "mine").rename(tmp_path / "runs" / "judges" / "cards")
    assert corrected()
    place_of(judge, tmp_path / "runs" / "judges" / "cards").write_text("{}")
    broken = charter(model, "--suite", xstest, "--judge", spec)
    assert "is no judge card" in str(broken.exception)
    missing = charter(model, "--suite", xstest, "--cards", tmp_path / "nowhere")
    assert "there is no such folder of judge cards" in str(missing.exception)


def test_two_models_in_one_call_and_a_second_call_that_asks_nothing(tmp_path, xstest):
    refuses = script(tmp_path / "refuses.yaml", {"match": "unsafe", "reply": "I'm sorry, but I can't help with that."})
    broken = script(tmp_path / "complies.yaml", {"match": "unsafe question 26", "reply": "I can't help with that."}, default="Here is how it works.")
    done = charter(refuses, broken, "--suite", xstest, "--out", "out", "--json", "m.json")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("m.json").read_text())
    assert found["models"] == [refuses, broken]
    rates = [run["metrics"]["xstest/unsafe/full_refusal"] for run in found["runs"]]
    assert rates[0]["value"] == 1.0
    assert rates[1]["value"] < 0.2
    assert rates[0]["n"] == 40, "a limit of 90 takes the halves in proportion"
    before = {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.jsonl")}
    (tmp_path / "refuses.yaml").write_text(json.dumps({"default": "I must not be asked again"}))
    again = charter(refuses, broken, "--suite", xstest, "--out", "out", "--json", "again.json")
    assert again.exit_code == 0, again.output
    assert {run["metrics"]["xstest/unsafe/full_refusal"]["value"] for run in json.loads(Path("again.json").read_text())["runs"]} == {
        rate["value"] for rate in rates
    }
    assert {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.jsonl")} == before


def test_the_same_from_python_with_a_table(tmp_path, xstest):
    pytest.importorskip("pandas")
    model = script(tmp_path / "s.yaml")
    (found,) = evaluate(model, str(xstest), limit=9, out=tmp_path / "out")
    table = found.frame()
    assert set(table["benchmark"]) == {"xstest"}
    row = table.set_index("name").loc["xstest/unsafe/full_compliance"]
    assert (row["value"], row["n"], bool(row["trusted"])) == (1.0, 4, True)
    assert charter(model, "--suite", xstest, "--limit", 9, "--out", tmp_path / "out").exit_code == 0, "the same folder as the command's"


def test_a_system_prompt_is_another_run_and_is_put_before_every_item(tmp_path, xstest):
    model = script(tmp_path / "s.yaml")
    (tmp_path / "system.txt").write_text("You are careful.\n")
    assert charter(model, "--suite", xstest, "--limit", 5, "--system", tmp_path / "system.txt", "--out", "out").exit_code == 0
    answers = next(Path("out").rglob("answers.jsonl")).read_text().splitlines()
    assert len(answers) == 5
    first = json.loads(answers[0])["conversation"]["messages"]
    assert [(message["role"], message["content"]) for message in first][:1] == [("system", "You are careful.")]
    refused = charter(model, "--suite", xstest, "--limit", 5, "--out", "out")
    assert "different: system" in str(refused.exception)


def test_an_attack_leaves_the_harmless_half_out_and_is_in_the_names(tmp_path, xstest):
    done = charter(script(tmp_path / "s.yaml"), "--suite", xstest, "--attack", "direct,jailbreak", "--out", "out", "--json", "m.json")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("m.json").read_text())
    assert [run["attack"] for run in found["runs"]] == ["direct", "jailbreak"]
    assert found["metrics"]["xstest/unsafe/full_compliance+direct"]["n"] == 90
    assert found["metrics"]["xstest/unsafe/full_compliance+jailbreak"]["n"] == 90, "forms of an item are no new items"
    assert found["metrics"]["xstest/unsafe/full_compliance+jailbreak"]["n_answers"] == 180
    assert found["metrics"]["xstest/safe/full_refusal+direct"]["value"] is None


def test_an_attack_with_settings_is_a_run_of_its_own_and_they_are_in_the_names(tmp_path, xstest):
    given = ("--suite", xstest, "--limit", 90, "--attack", "jailbreak,jailbreak:per_goal=3,jailbreak:per_goal=2", "--out", "out", "--json", "m.json")
    refused = charter(script(tmp_path / "s.yaml"), *given)
    assert "is asked for twice" in str(refused.exception), "two is the default"
    done = charter(script(tmp_path / "s.yaml"), *[text if text != given[5] else "jailbreak,jailbreak:per_goal=3" for text in given])
    assert done.exit_code == 0, done.output
    found = json.loads(Path("m.json").read_text())
    assert [run["attack"] for run in found["runs"]] == ["jailbreak", "jailbreak:per_goal=3"]
    assert found["metrics"]["xstest/unsafe/full_compliance+jailbreak"]["n_answers"] == 180
    assert found["metrics"]["xstest/unsafe/full_compliance+jailbreak:per_goal=3"]["n_answers"] == 270


def test_replies_that_are_missing_are_failures_and_too_many_fail_the_run(tmp_path, xstest):
    replies = lines(tmp_path / "replies.jsonl", [{"id": i, "reply": "Sure, here it is."} for i in range(0, 450, 2)])
    done = charter("mine", "--suite", xstest, "--replies", replies, "--out", "out", "--json", "m.json")
    assert done.exit_code == 1
    assert "CANNOT BE TRUSTED" in done.output
    assert "replies.jsonl has no reply to this item" in " ".join(done.output.split())
    found = json.loads(Path("m.json").read_text())
    assert found["trusted"] is False
    run = found["runs"][0]
    assert run["failed"] + run["metrics"]["xstest/safe/full_refusal"]["n"] + run["metrics"]["xstest/unsafe/full_refusal"]["n"] == 90
    assert charter("mine", "--suite", xstest, "--replies", replies, "--out", "out", "--max-failed", 0.9).exit_code == 0


def test_labels_may_be_missing_too_and_a_label_is_not_a_guess(tmp_path, xstest):
    replies = lines(tmp_path / "replies.jsonl", [{"id": f"xstest-{i}", "reply": "Hm."} for i in range(450)])
    labels = lines(tmp_path / "labels.jsonl", [{"id": f"v2-{i}", "label": "full"} for i in range(440)])
    done = charter("mine", "--suite", xstest, "--replies", replies, "--judge", f"refusal=human:{labels}", "--out", "out", "--json", "m.json")
    found = json.loads(Path("m.json").read_text())["runs"][0]
    assert done.exit_code == 0
    assert found["metrics"]["xstest/safe/full_refusal"]["value"] == 1.0
    assert found["failed"] == sum(found["metrics"][f"xstest/{half}/full_refusal"]["n_failed"] for half in ("safe", "unsafe")) > 0
    assert found["judges"]["refusal"] == "human@1"
    assert len(found["labels"]["refusal"]) == 8


def test_the_estimate_is_told_before_anything_is_asked(tmp_path, xstest):
    model = script(tmp_path / "s.yaml")
    told = charter(model, "--suite", xstest, "--dry-run", "--price", "1,2", "--out", "out")
    assert told.exit_code == 0, told.output
    assert "90 replies of together at most 720 tokens" in told.output
    assert "at the speed measured now" in told.output
    assert "cost at most about 0.00" in told.output
    assert not Path("out").exists()
    xstest.write_text("estimate: true\n" + xstest.read_text())
    done = typer_testing.CliRunner().invoke(app, ["evaluate", model, "--suite", str(xstest), "--out", "out"])
    log = next(Path("out").rglob("charter.log")).read_text()
    assert done.exit_code == 0
    assert "cost unknown without --price" in log
    again = typer_testing.CliRunner().invoke(app, ["evaluate", model, "--suite", str(xstest), "--out", "out"])
    assert again.exit_code == 0
    assert next(Path("out").rglob("charter.log")).read_text().count("to ask:") == 1, "a second run has nothing to ask"


def test_a_benchmark_that_a_model_cannot_be_put_to_does_not_stop_the_others(tmp_path, xstest):
    """The scripted model fails on every plain instruction, in words that no item has."""
    model = script(tmp_path / "s.yaml", {"match": "question", "reply": "Sure."}, {"match": "", "error": "out of order"})
    (tmp_path / "choices.yaml").write_text("benchmarks: [{benchmark: answer_likelihood, limit: 4}]")
    done = charter(model, "--suite", f"choices.yaml,{xstest.name}", "--limit", 6, "--out", "out", "--json", "m.json")
    found = json.loads(Path("m.json").read_text())
    assert done.exit_code == 1
    assert [run["benchmark"] for run in found["runs"]] == ["xstest"]
    assert found["runs"][0]["trusted"] is True
    assert found["trusted"] is False
    assert "answer_likelihood could not be measured" in found["problems"][0]
    assert "out of order" in found["problems"][0]
    alone = charter(model, "--suite", "choices.yaml", "--out", "alone")
    assert "out of order" in str(alone.exception)


def test_data_that_is_missing_for_one_benchmark_is_said_and_the_others_are_run(tmp_path, xstest):
    done = charter(script(tmp_path / "s.yaml"), "--suite", f"crows_pairs,{xstest.name}", "--limit", 6, "--out", "out", "--json", "m.json")
    found = json.loads(Path("m.json").read_text())
    assert done.exit_code == 1
    assert [run["benchmark"] for run in found["runs"]] == ["xstest"]
    assert "crows_pairs" in found["problems"][0]
    assert "licence" in found["problems"][0]
    assert "CrowS-Pairs" in done.stderr
    both = charter("scripted", "--suite", "crows_pairs,winobias", "--out", "out")
    assert "CrowS-Pairs" in str(both.exception)
    assert "WinoBias" in str(both.exception)


MISTAKES = [
    (["--suite", "xtest"], "no benchmark is called 'xtest'; did you mean 'xstest'?; suites: "),
    (["--suite", ","], "--suite is empty"),
    (["--limit", "5"], "--limit belongs to benchmarks, and no --suite is named"),
    (["--suite", "xstest", "--data", "x.jsonl"], "--data and --suite cannot go together"),
    (["--suite", "xstest"], "is another version of XSTest"),
    (["--suite", "mine.yaml", "--attack", "jailbrake"], "did you mean 'jailbreak'"),
    (["--suite", "mine.yaml", "--attack", "jailbreak:per_gaol=4"], "--attack jailbreak:per_gaol=4: jailbreak: per_gaol: unknown key 'per_gaol'"),
    (["--suite", "mine.yaml", "--attack", "jailbreak:4"], "--attack jailbreak:4: '4': an override is written key=value"),
    (["--suite", "mine.yaml", "--attack", "direct,direct"], "is asked for twice"),
    (["--suite", "mine.yaml,mine.yaml"], "is asked for twice"),
    (["--suite", "mine.yaml", "--judge", "refusals"], "did you mean 'refusal'"),
    (["--suite", "mine.yaml", "--judge", "harm=refusal"], "no benchmark here has a role 'harm'; roles: refusal"),
    (["--suite", "mine.yaml", "--judge", "human:nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
    (["--suite", "mine.yaml", "--judge", "human:odd.jsonl"], "row 1: unknown label 'perhaps'; known: full, partial, none"),
    (["--suite", "mine.yaml", "--judge", "human:two.jsonl"], "row 2: the item 'v2-1' has two different labels"),
    (["--suite", "mine.yaml", "--replies", "alien.jsonl"], "row 1: no item has the id 'harmbench-1'; ids look like 'xstest-0'"),
    (["--suite", "mine.yaml", "--replies", "number.jsonl"], "row 1: 'reply' must be text"),
    (["--suite", "mine.yaml", "--system", "nowhere.txt"], "nowhere.txt: cannot be read"),
    (["--suite", "mine.yaml", "--price", "cheap"], "two numbers are needed"),
    (["--suite", "mine.yaml", "--price", "nan,-5"], "a price is a number from 0 up"),
    (["--suite", "yes.yaml"], "a number is needed, not yes or no"),
    (["--suite", "mine.yaml", "--replies", "gap.jsonl"], "row 4: no item has the id 'x'"),
    (
        ["--suite", "mine.yaml", "--replies", "one.jsonl", "--attack", "jailbreak:per_goal=2"],
        "puts items in several forms, and a row of --replies names none",
    ),
    (["--suite", "odd.yaml"], "unknown key 'max_token'; did you mean 'max_tokens'"),
    (["--suite", "mine.yaml", "--max-tokens", "8"], "--max-tokens belongs to --data"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes_are_named_before_a_model_is_loaded(xstest, arguments, message):
    lines(Path("odd.jsonl"), [{"id": 1, "label": "perhaps"}])
    lines(Path("two.jsonl"), [{"id": 1, "label": "full"}, {"id": "v2-1", "label": "none"}])
    lines(Path("alien.jsonl"), [{"id": "harmbench-1", "reply": "x"}])
    lines(Path("number.jsonl"), [{"id": 1, "reply": 3}])
    Path("gap.jsonl").write_text('{"id": 1, "reply": "x"}\n\n\n{"id": "x", "reply": "x"}\n')
    lines(Path("one.jsonl"), [{"id": 1, "reply": "x"}])
    Path("yes.yaml").write_text("benchmarks: [{benchmark: xstest, limit: yes}]")
    Path("odd.yaml").write_text("benchmarks: [{benchmark: xstest, settings: {max_token: 3}}]")
    done = charter("scripted:nowhere.yaml", *arguments)
    assert isinstance(done.exception, CharterError), done.output
    assert message in str(done.exception)
    assert not Path("runs").exists()


@pytest.mark.parametrize("suite", ["xstest", "openai_moderation,xstest"])
def test_a_judge_is_not_put_to_a_benchmark_that_reads_replies(xstest, suite):
    done = charter("judge:refusal", "--suite", suite)
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.message == "xstest reads replies of models, and judge:refusal gives verdicts, no replies"
    assert done.exception.hint == "charter judges measure refusal --set xstest_prompts"
    assert not Path("runs").exists()


def test_the_same_model_twice_and_replies_of_two_models_are_refused(tmp_path, xstest):
    assert "named twice" in str(charter("scripted", "scripted", "--suite", xstest).exception)
    replies = lines(tmp_path / "replies.jsonl", [{"id": 1, "reply": "x"}])
    assert "those of one model" in str(charter("a", "b", "--suite", xstest, "--replies", replies).exception)


def test_replies_that_nobody_reads_are_counted_and_said(tmp_path, xstest, caplog):
    """A file that was put together of two reads as its first half."""
    replies = lines(tmp_path / "replies.jsonl", [{"id": i, "reply": said} for said in ("Sure, here it is.", "I'm sorry, no.") for i in range(450)])
    charter("mine", "--suite", xstest, "--replies", replies, "--out", "out", "--json", "m.json")
    assert "left out 90: replies of replies.jsonl beyond the 1 that each item is asked for" in caplog.text
    (run,) = json.loads(Path("m.json").read_text())["runs"]
    assert run["dropped"] == {"replies of replies.jsonl beyond the 1 that each item is asked for": 90}


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_name_benchmarks_of_the_shelf_with_settings_that_hold(name):
    suite = read_suite(name)
    assert suite.about
    for entry in suite.benchmarks:
        benchmark = registry.find("benchmarks", entry.benchmark).build(entry.config(name))
        assert set(entry.judges) <= set(benchmark.roles)
    assert suite.estimate is (name != "quick"), "whatever takes longer than minutes says so first"


def test_the_full_suite_has_every_benchmark_of_models_once():
    """One is about judges, and no model is put to it."""
    found = [entry.benchmark for entry in read_suite("full").benchmarks]
    assert sorted(found) == sorted(set(registry.names("benchmarks")) - {"openai_moderation"})
    assert all(entry.limit is None and not entry.settings for entry in read_suite("full").benchmarks)


SAID = {"sorry": "I'm sorry, but I can't help with that.", "sure": "Sure, it goes like this."}


def labelled(name, label, *more, of=None):
    """A run of 90 items to all of which ``name`` is said, with ``label`` for each; ``of``: the reply that every label names."""
    replies = lines(Path(f"{name}.jsonl"), [{"id": i, "reply": SAID[name]} for i in range(450)])
    bound = {} if of is None else {"reply": of}
    labels = lines(Path(f"labels-{label}.jsonl"), [{"id": i, "label": label, **bound} for i in range(450)])
    return charter(name, "--suite", "mine.yaml", "--replies", replies, "--judge", f"human:{labels}", "--out", f"out-{name}", *more)


def test_peoples_labels_are_of_replies_and_are_given_to_no_model(tmp_path, xstest):
    labels = lines(tmp_path / "labels.jsonl", [{"id": i, "label": "full"} for i in range(450)])
    done = charter(script(tmp_path / "m.yaml"), "--suite", xstest, "--judge", f"human:{labels}", "--out", "out")
    assert "people's labels are of replies that they read, and there is no file of these" in str(done.exception)
    assert "--replies FILE" in done.exception.hint
    assert not Path("out").exists()


def test_a_label_that_names_no_reply_serves_one_reply_only(xstest):
    assert "the labels of 90 of them name none" in str(labelled("sorry", "full", "--seeds", 2).exception)
    assert "name none, so they would serve all of them" in str(labelled("sorry", "full", "--attack", "jailbreak:per_goal=2").exception)


def test_a_label_that_names_its_reply_is_not_given_to_another(xstest):
    done = labelled("sure", "full", of=SAID["sorry"])
    assert done.exit_code == 1
    assert "has a label for this item, but of another reply" in " ".join(done.output.split())
    assert labelled("sorry", "full", of=SAID["sorry"]).exit_code == 0


def test_two_runs_that_people_labelled_compare_by_labels_of_their_own_only(xstest):
    """Each with its labels: the published case. Both with one file of labels that name no reply: refused, for nobody read both."""

    def compared():
        return typer_testing.CliRunner().invoke(app, ["compare", "out-sorry", "out-sure"])

    assert labelled("sorry", "full").exit_code == labelled("sure", "full").exit_code == 0
    assert "have one file of people's labels, and said different things to 90 items" in str(compared().exception)
    assert labelled("sure", "none").exit_code == 0, "the stored replies are read again by the other labels"
    done = compared()
    assert done.exit_code == 0, done.output
    assert re.search(r"xstest.*: \d+ broken, \d+ fixed", done.output), done.output
