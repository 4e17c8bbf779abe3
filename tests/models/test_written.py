"""Models with settings: YAML on the command line, in recipes, suites and judges, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charter.core.errors import InputError, ModelError
from charter.core.rows import Conversation, Sampling
from charter.evaluate.suites import Entry
from charter.judges._spec import build_judge
from charter.models import load_model
from charter.models._identity import identity
from charter.models._written import lasting
from charter.recipes.config import Recipe, load_recipe
from charter.recipes.stages import _said

URL = "m@http://127.0.0.1:9/v1"
WRITTEN = f"openai: {{model: {URL}, timeout_s: 300, leave_out: [temperature, seed]}}"


def test_settings_are_written_as_yaml_as_text_as_a_mapping_and_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(f"openai:\n  model: {URL}\n  timeout_s: 300\n  leave_out: [temperature, seed]\n", encoding="utf-8")
    mapping = {"openai": {"model": URL, "timeout_s": 300, "leave_out": ["temperature", "seed"]}}
    for spec in (WRITTEN, f"{{{WRITTEN}}}", str(file), mapping):
        model: Any = load_model(spec)
        assert (model.spec.partition("+")[0], model.config.timeout_s, model.config.leave_out) == (f"openai:{URL}", 300.0, ("temperature", "seed"))
    file.write_text(f"openai:{URL}\n", encoding="utf-8")
    assert load_model(str(file)).spec == f"openai:{URL}", "a file may hold a spec alone"


def test_settings_reach_the_request(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine")
    url = server.spec.removeprefix("openai:")
    load_model(f"openai: {{model: {url}, api_key_env: MY_KEY, leave_out: [temperature], extra_body: {{top_k: 5}}}}").reply(
        [Conversation.ask("x")], Sampling()
    )
    assert server.keys == ["Bearer sk-mine"]
    assert "temperature" not in server.requests[0]
    assert server.requests[0]["top_k"] == 5


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (f"openai: {{model: {URL}, timeout: 3}}", "openai: unknown option 'timeout'; did you mean 'timeout_s'"),
        (f"openai: {{model: {URL}, api_key: sk-secret}}", "unknown option 'api_key'; did you mean 'api_key_env'"),
        (f"openai: {{model: {URL}, timeout_s: 3, timeout_s: 4}}", "timeout_s: stands twice"),
        (f"openai: {{model: {URL}, concurrency: 0}}", "concurrency"),
        ("openai: {timeout_s: 3}", "nothing stands after|forms: openai:MODEL"),
        ("openai: {model: 4}", "openai: model is text; put it in quotes"),
        ("openai: [m]", "settings are a mapping"),
        ("{openai: {model: m}, hf: {model: n}}", "a mapping of one backend to its settings; this has the keys openai, hf"),
        ("opnai: {model: m}", "did you mean 'openai:m'"),
        ("hf: {model: org/name, max_batch: 0}", "max_batch"),
        ("hf: {model: org/name, batch: 3}", "unknown option 'batch'"),
        ("embedded: {max_batch: 3}", "embedded: unknown option 'max_batch'"),
        ("openai: {model: m", "not valid YAML"),
        ("nosuch.yaml", "there is no such file"),
    ],
)
def test_mistakes_are_told_and_no_secret_with_them(spec: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        load_model(spec)
    assert "sk-secret" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_recipe_takes_settings_and_goes_on_under_other_waits(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nmodel:\n  openai: {{model: {URL}, timeout_s: 300}}\ngenerate: {{feedback: {{scripted: {{default: No.}}}}}}\n")
    recipe = load_recipe(str(file), [], {})
    assert load_model(recipe.model).config.timeout_s == 300  # type: ignore[attr-defined]
    assert load_model(recipe.generate.feedback).reply([Conversation.ask("x")], Sampling())[0].text == "No."
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    patient = load_recipe(str(file), [], {"model": f"openai: {{model: {URL}, timeout_s: 900, api_key_env: MY_KEY}}"})
    assert _said(patient) == _said(recipe), "no answer is another one for a longer wait"
    other = load_recipe(str(file), [], {"model": f"openai: {{model: {URL}, leave_out: [temperature]}}"})
    assert _said(other) != _said(recipe)
    file.write_text("name: mine\nmodel: {openai: m, hf: n}\n")
    with pytest.raises(InputError, match="line 2: model: is text, or a mapping of one name"):
        load_recipe(str(file), [], {})


def test_run_folders_are_named_by_what_decides_the_answers() -> None:
    assert identity(f"openai:{URL}") == f"openai:{URL}" == identity(f"openai: {{model: {URL}, timeout_s: 9, budget_requests: 5}}")
    assert identity(WRITTEN) != identity(f"openai:{URL}")
    assert lasting("writer") == "writer"
    assert lasting(lasting(WRITTEN)) == lasting(WRITTEN)


def test_judges_and_suites_take_models_with_settings() -> None:
    judge: Any = build_judge({"harmbench": {"model": {"openai": {"model": URL, "timeout_s": 300}}}})
    assert judge.model.config.timeout_s == 300
    typed: Any = build_judge(f"harmbench: {{model: {{openai: {{model: {URL}, timeout_s: 300}}}}}}")
    assert typed.model.config.timeout_s == 300
    entry = Entry.model_validate({"benchmark": "xstest", "judges": {"reply": {"harmbench": {"model": {"openai": {"model": URL, "retries": 9}}}}}})
    assert build_judge(entry.judges["reply"]).model.config.retries == 9  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="MY_KEY is empty"):
        build_judge({"strong_reject": {"model": {"openai": {"model": URL, "api_key_env": "MY_KEY"}}}})


def test_a_setting_that_may_change_an_answer_makes_another_model_and_a_wait_does_not(tmp_path: Path) -> None:
    def spec(settings: str) -> str:
        return load_model(f"openai: {{model: {URL}, {settings}}}").spec

    assert spec("timeout_s: 5, budget_requests: 9") == f"openai:{URL}"
    assert len({f"openai:{URL}", spec("leave_out: [seed]"), spec("extra_body: {top_k: 5}"), spec("extra_body: {top_k: 6}")}) == 4
    judges = [build_judge(f"strong_reject: {{model: {{openai: {{model: {URL}, extra_body: {{top_k: {k}}}}}}}}}") for k in (5, 6)]
    assert judges[0].version != judges[1].version
    assert lasting(f"hf: {{model: {tmp_path}, max_batch: 4}}") == str(tmp_path)


def test_a_key_in_place_of_its_variables_name_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        load_model(f"openai: {{model: {URL}, api_key_env: sk-abc}}")
    assert "sk-abc" not in str(caught.value) + caught.value.hint
