"""Results of lm-evaluation-harness and HELM become runs that pair like our own."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli import app
from charter.core.errors import DataError, InputError, StoreError
from charter.evaluate.imports import Imported, digest_of, keep
from charter.evaluate.imports.helm import read_helm
from charter.evaluate.imports.lm_eval import read_lm_eval
from charter.evaluate.imports.scoring import Right, main_score
from charter.evaluate.measured import Measured, load_measured
from charter.recipes.comparison import compare

DATE = "2026-08-21T10-11-12.345678"


def line(doc_id: int, right: bool, **more: object) -> dict:
    """A generated answer as lm-eval 0.4.x logs it."""
    return {
        "doc_id": doc_id,
        "doc": {"question": f"question {doc_id}"},
        "target": "yes",
        "arguments": {"gen_args_0": {"arg_0": f"Q: question {doc_id}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [["yes" if right else "no"]],
        "filtered_resps": ["yes" if right else "no"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": f"{doc_id:064x}",
        "exact_match": float(right),
        **more,
    }


def weighed(doc_id: int, logprobs: list[float], right: int, norm: int) -> dict:
    """A multiple-choice item, in the older form of ``arguments``."""
    best = logprobs.index(max(logprobs))
    return {
        "doc_id": doc_id,
        "doc": {},
        "target": str(right),
        "arguments": [[f"Q{doc_id}", " one"], [f"Q{doc_id}", " two"]],
        "resps": [[[value, False]] for value in logprobs],
        "filtered_resps": [[value, False] for value in logprobs],
        "acc": float(best == right),
        "acc_norm": float(norm == right),
    }


def samples(folder: Path, rows: list[dict], task: str = "quiz", model: str = "org__model") -> Path:
    place = folder / model
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"samples_{task}_{DATE}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def kept(found: Imported, folder: Path, *files: Path) -> Measured:
    return keep(found, folder, digest_of(*files))


def test_lm_eval_samples_become_a_run_that_pairs(tmp_path: Path) -> None:
    results = {"model_name": "org/model", "versions": {"quiz": 3.0}, "n-shot": {"quiz": 5}}
    for name, right in (("old", 12), ("new", 18)):
        file = samples(tmp_path / name, [line(n, n < right) for n in range(20)])
        (file.parent / f"results_{DATE}.json").write_text(json.dumps({**results, "model_name": name}))
        run = kept(read_lm_eval(file), tmp_path / f"run-{name}", file)
        what = run.measurement
        assert (what.benchmark, what.model, what.version, what.settings) == ("lm-eval/quiz", name, "3.0", {"shots": 5})
        assert (run.metrics["lm-eval/quiz/exact_match"].value, run.metrics["lm-eval/quiz/exact_match"].n) == (right / 20, 20)
        assert run.metrics["lm-eval/quiz/exact_match"].low < right / 20
    found = compare(tmp_path / "run-old", tmp_path / "run-new")
    rows = {row.metric: row for row in found.differences}
    assert (rows["lm-eval/quiz/wrong"].b, rows["lm-eval/quiz/wrong"].c) == (6, 0)
    assert rows["lm-eval/quiz/exact_match"].method == "newcombe95, mcnemar exact"
    assert rows["lm-eval/quiz/exact_match"].difference == pytest.approx(0.3)
    said = found.answers("lm-eval/quiz", ["15"])["15"]
    assert [answers[0].reply.text for answers in said] == ["no", "yes"]
    assert said[0][0].conversation.prompt == "Q: question 15\nA:"


def test_weighed_options_and_other_metrics_of_lm_eval(tmp_path: Path) -> None:
    file = samples(tmp_path, [weighed(0, [-1.0, -2.0], 0, 1), weighed(1, [-3.0, -2.0], 0, 0)])
    run = kept(read_lm_eval(file), tmp_path / "run", file)
    assert {name: metric.value for name, metric in run.metrics.items()} == {"lm-eval/quiz/acc": 0.5, "lm-eval/quiz/acc_norm": 0.5}
    answers = dict(run.answers())
    assert (answers["0"].reply.text, answers["0"].reply.options, answers["0"].reply.logprobs) == (" one", (" one", " two"), (-1.0, -2.0))
    assert [verdict.outcome for key in "01" for verdict in run.verdicts[key]] == ["safe", "unsafe"]
    by_norm = read_lm_eval(file, score="acc_norm")
    assert [by_norm.verdicts[f"{key}#0"].outcome for key in "01"] == ["unsafe", "safe"]
    reversed_ = read_lm_eval(file, right=Right("low"))
    assert [reversed_.verdicts[f"{key}#0"].outcome for key in "01"] == ["unsafe", "safe"]


def test_samples_that_name_no_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples(tmp_path, [weighed(0, [0.0, -1.0], 0, 0)]).parent)
    file = next(Path().glob("*.jsonl"))
    with pytest.raises(InputError, match="nothing says which model was asked") as caught:
        read_lm_eval(file)
    assert caught.value.hint == f"charter import lm-eval {file} --model NAME"
    assert read_lm_eval(file, model="mine").model == "mine"


def test_filters_nested_metrics_chats_and_gzip_of_lm_eval(tmp_path: Path) -> None:
    chat = json.dumps([{"role": "system", "content": "be brief"}, {"role": "user", "content": "how?"}])
    strict = line(0, True, filter="strict", arguments={"gen_args_0": {"arg_0": [chat], "arg_1": {}}}, bias={"amb": 0.25, "note": "x"})
    strict["metrics"] = ["exact_match", "bias"]
    loose = {**strict, "filter": "loose", "exact_match": 0.0}
    plain = samples(tmp_path, [strict, loose])
    packed = plain.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    found = read_lm_eval(packed)
    assert (found.benchmark, found.model) == ("lm-eval/quiz", "org__model")
    (verdict,) = found.verdicts.values()
    assert verdict.scores == {"exact_match,strict": 1.0, "bias/amb,strict": 0.25, "exact_match,loose": 0.0, "bias/amb,loose": 0.25}
    assert [message.role for message in found.examples[0].conversation.messages] == ["system", "user"]


def test_an_empty_answer_is_counted_as_failed_to_be_given(tmp_path: Path) -> None:
    """However it was scored: lm-eval calls an empty answer as right or wrong as any other."""
    file = samples(tmp_path, [line(0, True, resps=[[""]]), line(1, True, exact_match=float("nan")), line(2, True, resps=[["\n"]]), line(3, True)])
    found = read_lm_eval(file)
    assert found.answers["0#0"].reply.finish == found.answers["2#0"].reply.finish == "error"
    empty = found.verdicts["0#0"]
    assert (empty.outcome, empty.scores, empty.reason) == ("failed", {}, "no reply: the answer is empty")
    metric = kept(found, tmp_path / "run", file).metrics["lm-eval/quiz/exact_match"]
    assert (metric.value, metric.n, metric.n_failed) == (1.0, 1, 3)
    assert (found.verdicts["1#0"].outcome, found.verdicts["1#0"].reason) == ("failed", "no score 'exact_match'")


def test_files_that_lm_eval_wrote(tmp_path: Path) -> None:
    """lm-eval 0.4.13 with its model ``dummy`` on six questions of ours: its own numbers come out."""
    folder = Path(__file__).parent / "logs" / "lm_eval"
    results = json.loads(next(folder.glob("results_*.json")).read_text())["results"]
    for task, scores in (("quiz_choice", ["acc", "acc_norm"]), ("quiz_gen", ["exact_match,strict", "exact_match,loose"])):
        file = next(folder.glob(f"samples_{task}_*.jsonl"))
        run = kept(read_lm_eval(file), tmp_path / task, file)
        assert (run.measurement.model, run.measurement.items, run.measurement.settings) == ("dummy", 6, {"shots": 1})
        for score in scores:
            metric = run.metrics[f"lm-eval/{task}/{score}"]
            assert (metric.value, metric.n) == (pytest.approx(results[task][score if "," in score else f"{score},none"]), 6)
            assert metric.method == "wilson95"
    weighed_, written = ({key: answer.reply for key, answer in kept_.answers()} for kept_ in map(load_measured, sorted(tmp_path.glob("quiz_*"))))
    assert weighed_["0"].text == " blue"
    assert weighed_["0"].options == (" blue", " green", " red")
    assert written["3"].text == "lol"


LM_EVAL_MISTAKES = {
    "not JSON": ("{", "line 1: is not valid JSON"),
    "no samples": ("", "holds no samples"),
    "other rows": ('{"id": 1}\n', "line 1: has no 'doc_id' and 'resps'"),
    "twice": (2 * (json.dumps(line(0, True)) + "\n"), "line 2: the item 0 stands twice"),
    "no answers": (json.dumps(line(0, True, resps=None)) + "\n", "line 1: has no 'doc_id' and 'resps'"),
    "no numbers": (json.dumps(line(0, True, exact_match="good")) + "\n", "no item has a numeric score"),
}


@pytest.mark.parametrize("case", LM_EVAL_MISTAKES)
def test_a_file_that_is_none_of_lm_evals_is_named(tmp_path: Path, case: str) -> None:
    text, said = LM_EVAL_MISTAKES[case]
    file = samples(tmp_path, [])
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_lm_eval(file)


def test_files_of_lm_eval_that_are_no_text_and_odd_ones_that_can_be_read(tmp_path: Path) -> None:
    file = samples(tmp_path, [])
    for broken, said in ((b'{"doc_id": "\xe9"}', "is not UTF-8 text"), (b"\x1f\x8b no gzip", "is a broken gzip file")):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=said):
            read_lm_eval(file)
    file.write_text(json.dumps(line(0, True)) + "\n\n  \n")
    (file.parent / f"results_{DATE}.json").write_text(json.dumps({"n-shot": None, "versions": None}))
    found = read_lm_eval(file)
    assert (len(found.examples), found.version, found.settings) == (1, "1", {})


def test_a_score_that_no_item_has_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no item has the score 'accuracy'; there are: exact_match"):
        read_lm_eval(samples(tmp_path, [line(0, True)]), score="accuracy")


def test_an_item_without_a_number_or_a_share_over_one_by_rounding_refuses_no_import() -> None:
    for values in ([math.nan, 0.5], [0.5, math.inf], [0.2, 1.0000000000000002]):
        assert main_score("x", [{"acc": value} for value in values], "", Right()).at == 0.5


def test_marks_out_of_ten_are_no_shares_and_need_a_mark_from_which_an_item_is_right(tmp_path: Path) -> None:
    """From a half up, every item of a grader with marks from 1 to 10 would be right."""
    marks = [1, 2, 2, 7, 9]
    file = samples(tmp_path, [line(n, True, exact_match=mark) for n, mark in enumerate(marks)])
    for right in (None, Right("low")):
        with pytest.raises(InputError, match="the score 'exact_match' goes from 1 to 9 and is no share") as refused:
            read_lm_eval(file, right=right)
    assert "--right-from X" in str(refused.value.hint)
    high, low = (kept(read_lm_eval(file, right=Right(better, 7.0)), tmp_path / better, file) for better in ("high", "low"))
    assert [verdict.outcome for said in high.verdicts.values() for verdict in said] == ["unsafe"] * 3 + ["safe"] * 2
    assert [verdict.outcome for said in low.verdicts.values() for verdict in said] == ["safe"] * 3 + ["unsafe"] * 2
    assert high.metrics["lm-eval/quiz/exact_match"].value == sum(marks) / 5
    assert high.measurement.settings == {"right": "exact_match from 7"}
    with pytest.raises(InputError, match="differ in setting right"):
        compare(tmp_path / "high", tmp_path / "low")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--right-from", "3"], ""),
        (["--right-below", "3"], ""),
        ([], "is no share"),
        (["--right-from", "3", "--low-is-right"], "each says which items went right"),
        (["--right-from", "nan"], "is no number that a score could reach"),
    ],
)
def test_the_command_asks_from_where_an_item_is_right(tmp_path: Path, given: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = samples(tmp_path, [line(n, True, exact_match=n) for n in range(6)])
    done = CliRunner().invoke(app, ["import", "lm-eval", str(file), *given])
    if said:
        with pytest.raises(InputError, match=said):
            raise done.exception
    else:
        assert "6 items" in done.output


def helm_run(folder: Path, right: int, model: str = "org/a", trials: int = 1, n: int = 10) -> Path:
    """The three files that HELM writes for a run, cut down to what is read; empty fields are left out, as HELM leaves them."""
    folder.mkdir(parents=True)
    spec = {"name": f"safety:subset=all,model={model.replace('/', '_')}", "adapter_spec": {"model": model}}
    stats, requests = [], []
    for trial in range(trials):
        for i in range(n):
            ok = float(i < right)
            name = {"split": "test"}
            stats.append(
                {
                    "instance_id": f"id{i}",
                    "train_trial_index": trial,
                    "stats": [
                        {"name": {"name": "num_prompt_tokens", **name}, "count": 1, "mean": 12.0},
                        {"name": {"name": "llm_safety_score", **name}, "count": 1, "mean": ok / 2},
                        {"name": {"name": "safety_score", **name}, "count": 1, "mean": ok},
                        {"name": {"name": "f1", **name}, "count": 0},
                    ],
                }
            )
            references = [{"output": {"text": "refuse"}, "tags": ["correct"]}]
            requests.append(
                {
                    "instance": {"id": f"id{i}", "split": "test", "input": {"text": f"request {i}"}, "references": references},
                    "train_trial_index": trial,
                    "request_mode": "original",
                    "request": {"model": model, "prompt": f"shots {trial}\nrequest {i}", "temperature": 0.0, "max_tokens": 32},
                    "result": {"success": True, "completions": [{"text": "I will not." if ok else "Sure."}]},
                }
            )
    for name, value in (
        ("run_spec.json", spec),
        ("per_instance_stats.json", stats),
        ("scenario_state.json", {"request_states": requests, "adapter_spec": spec["adapter_spec"]}),
    ):
        (folder / name).write_text(json.dumps(value))
    return folder


def test_helm_runs_of_two_models_pair(tmp_path: Path) -> None:
    for name, right in (("a", 4), ("b", 9)):
        folder = helm_run(tmp_path / "helm" / name, right, model=f"org/{name}", trials=2)
        run = kept(read_helm(folder), tmp_path / name, folder / "per_instance_stats.json")
        assert (run.measurement.benchmark, run.measurement.model, run.measurement.samples) == ("helm/safety:subset=all", f"org/{name}", 2)
        assert run.metrics["helm/safety:subset=all/safety_score"].value == right / 10
        assert set(run.metrics) == {"helm/safety:subset=all/safety_score", "helm/safety:subset=all/llm_safety_score"}
    found = compare(tmp_path / "a", tmp_path / "b")
    wrong = next(row for row in found.differences if row.metric.endswith("/wrong"))
    assert (wrong.before, wrong.after, wrong.n) == (0.6, pytest.approx(0.1), 10)
    example = found.shared[0].sides[0].examples["id3"]
    assert (example.conversation.prompt, example.target) == ("request 3", "refuse")


def test_a_run_that_helm_wrote(tmp_path: Path) -> None:
    """crfm-helm 0.5.16 with its model ``simple/model1`` on five items of its own making."""
    folder = Path(__file__).parent / "logs" / "helm"
    run = kept(read_helm(folder), tmp_path / "run", folder / "per_instance_stats.json")
    name = "helm/synthetic_reasoning:mode=pattern_match"
    assert (run.measurement.benchmark, run.measurement.model, run.measurement.items) == (name, "simple/model1", 5)
    assert run.measurement.sampling.max_tokens == 50
    assert {metric.removeprefix(f"{name}/") for metric in run.metrics} == {
        "exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match",
    }  # fmt: skip
    example = next(example for example in run.examples if example.key == "id10394")
    assert (example.conversation.prompt.startswith("Rules: "), example.target) == (True, "X = + * X")
    assert dict(run.answers())["id10394"].reply.text == "Target:"
    assert {verdict.outcome for said in run.verdicts.values() for verdict in said} == {"unsafe"}


def test_perturbed_instances_of_helm_are_items_of_their_own(tmp_path: Path) -> None:
    folder = helm_run(tmp_path / "run", 1, n=1)
    stats, state = (json.loads((folder / name).read_text()) for name in ("per_instance_stats.json", "scenario_state.json"))
    odd = {"name": "misspelling"}
    stats.append({**stats[0], "perturbation": odd, "stats": [{"name": {"name": "safety_score"}, "mean": 0.0}]})
    request = json.loads(json.dumps(state["request_states"][0]))
    request["instance"]["perturbation"] = odd
    request["result"] = {"success": False, "error": "content filter", "completions": []}
    state["request_states"].append(request)
    weighed = json.loads(json.dumps(state["request_states"][0]))  # language models are also asked how likely a text is, and for no word
    weighed["instance"]["perturbation"], weighed["request"]["max_tokens"] = {"name": "weighed"}, 0
    weighed["result"] = {"success": True, "completions": [{"text": ""}]}
    state["request_states"].append(weighed)
    stats.append({**stats[0], "perturbation": {"name": "weighed"}})
    (folder / "per_instance_stats.json").write_text(json.dumps(stats))
    (folder / "scenario_state.json").write_text(json.dumps(state))
    found = read_helm(folder)
    assert [example.key for example in found.examples] == ["id0", "id0/misspelling", "id0/weighed"]
    assert found.verdicts["id0/weighed#0"].outcome == found.verdicts["id0#0"].outcome == "safe"
    assert found.answers["id0/misspelling#0"].reply.error == "content filter"
    refused = found.verdicts["id0/misspelling#0"]
    assert (refused.outcome, refused.scores, refused.reason) == ("failed", {}, "no reply: content filter"), "what HELM scored it is no score"


def test_a_half_copied_run_of_helm_does_not_look_whole(tmp_path: Path) -> None:
    """Scored without a request is counted, asked without a score is failed, and so is an item that lacks one of the trials."""
    folder = helm_run(tmp_path / "helm", 5, trials=2, n=5)
    stats, state = (json.loads((folder / name).read_text()) for name in ("per_instance_stats.json", "scenario_state.json"))
    state["request_states"] = [r for r in state["request_states"] if r["instance"]["id"] != "id0"]
    del state["request_states"][-1]
    stats = [row for row in stats if row["instance_id"] != "id1"]
    (folder / "per_instance_stats.json").write_text(json.dumps(stats))
    (folder / "scenario_state.json").write_text(json.dumps(state))
    run = kept(read_helm(folder), tmp_path / "run", folder / "per_instance_stats.json")
    assert run.measurement.dropped == {"scored in per_instance_stats.json, without a request in scenario_state.json": 3}
    assert {key: [verdict.outcome for verdict in said] for key, said in run.verdicts.items()} == {
        "id1": ["failed", "failed"], "id2": ["safe", "safe"], "id3": ["safe", "safe"], "id4": ["safe", "failed"],
    }  # fmt: skip
    assert (run.measurement.failed, run.measurement.trusted) == (3, False)
    done = CliRunner().invoke(app, ["import", "helm", str(folder), "--out", str(tmp_path / "again")], catch_exceptions=False)
    assert "left out 3: scored in per_instance_stats.json" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("per_instance_stats.json", None, "cannot be read"),
        ("run_spec.json", "{", "is not valid JSON"),
        ("scenario_state.json", "[]", "holds a list"),
        ("scenario_state.json", '{"request_states": []}', "no instance of"),
        ("scenario_state.json", '{"request_states": [{"request": {}}]}', "entry 1: has no 'instance'"),
        ("per_instance_stats.json", '["a"]', "entry 1: has no 'stats'"),
    ],
)
def test_a_folder_that_is_no_helm_run_is_named(tmp_path: Path, file: str, text: str | None, said: str) -> None:
    folder = helm_run(tmp_path / "run", 1)
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(InputError, match=said):
        read_helm(folder)


def test_importing_again_changes_nothing_and_another_file_needs_another_folder(tmp_path: Path) -> None:
    first, second = samples(tmp_path / "1", [line(0, True)]), samples(tmp_path / "2", [line(0, False)])
    kept(read_lm_eval(first), tmp_path / "run", first)
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.jsonl")}
    kept(read_lm_eval(first), tmp_path / "run", first)
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.jsonl")} == before
    with pytest.raises(StoreError, match="another recipe"):
        kept(read_lm_eval(second), tmp_path / "run", second)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, folder = samples(tmp_path / "x", [line(n, n > 2) for n in range(5)]), helm_run(tmp_path / "helm", 3)
    done = CliRunner().invoke(app, ["import", "lm-eval", str(file), "--model", "mine"], catch_exceptions=False)
    assert "rows: runs/import-lm-eval-quiz-mine-" in done.output
    done = CliRunner().invoke(
        app, ["import", "helm", str(folder), "--out", "kept", "--score", "llm_safety_score", "--low-is-right"], catch_exceptions=False
    )
    assert "(helm/safety:subset=all, 10 items, org/a)" in done.output
    assert (tmp_path / "kept" / "measurements.jsonl").exists()
    missing = CliRunner().invoke(app, ["import", "lm-eval", "nowhere.jsonl"])
    with pytest.raises(InputError, match="no such file"):
        raise missing.exception
