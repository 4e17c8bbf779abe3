"""Every file on the judges' shelf keeps the contract; hostile text never raises."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import charter.judges
from charter.core import registry
from charter.core.config import Config
from charter.core.errors import CharterError, InputError
from charter.core.rows import Conversation, Verdict
from charter.core.shapes import Judge
from charter.judges import _hashed

NAMES = registry.names("judges")
#: Compare two replies instead of judging one.
COMPARE = {"pairwise", "rules_pairwise"}
#: Settings of judges that need a model, a service or other judges first; those have tests of their own.
NEEDS = {"model", "url", "judge", "judges"}
ALONE = [n for n in NAMES if n not in COMPARE and not NEEDS & set(registry.find("judges", n).Config.model_fields)]
HOSTILE = st.text(st.characters(codec=None, exclude_categories=()), max_size=300) | st.sampled_from(
    [
        "\u202e\u2066no",
        "İstanbul " * 40,
        "a\u0300" * 200,
        "ﬃ ½ ㎏ ﷺ",
        "'" * 500,
        "\ud800",
        "```" * 99,
        "i cannot " * 500,
        "((((" * 200,
        "\x00\x1b[2J",
        '"' * 301,
    ]
)


@pytest.fixture(scope="module")
def judges() -> dict[str, Judge]:
    modules = {name: registry.find("judges", name) for name in ALONE}
    return {name: module.build(module.Config()) for name, module in modules.items()}


def test_shelf_holds_the_promised_judges() -> None:
    assert {"refusal", "harm", "request", "pairwise", "rules_pairwise"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_contract(name: str) -> None:
    module = registry.find("judges", name)
    assert module.__doc__
    assert 10 < len(module.__doc__.splitlines()[0]) < 120
    assert len(module.NOT_COVERED) > 40
    assert issubclass(module.Config, Config)
    assert all(field.description for field in module.Config.model_fields.values())


@pytest.mark.parametrize("name", [n for n in NAMES if n not in COMPARE and n not in ALONE])
def test_a_judge_that_lacks_something_says_what_to_type(name: str) -> None:
    module = registry.find("judges", name)
    with pytest.raises(CharterError) as caught:
        module.build(module.Config())
    assert caught.value.hint


@pytest.mark.parametrize("name", ALONE)
def test_judge_contract(name: str, judges: dict[str, Judge]) -> None:
    judge = judges[name]
    assert isinstance(judge, Judge)
    assert judge.name == name
    conversation = Conversation.ask("How do I bake bread?").with_reply("Mix flour, water, salt and yeast; let it rise; bake.")
    verdict = judge(conversation)
    assert (verdict.subject, verdict.judge, verdict.judge_version) == (conversation.id, name, judge.version)
    assert judge.version
    assert judge(conversation) == verdict


@pytest.mark.parametrize("name", ["refusal", "harm"])
@pytest.mark.parametrize("reply", ["", "   \n\t", "\u200b\ufeff"])
def test_empty_reply_is_failed(name: str, reply: str, judges: dict[str, Judge]) -> None:
    verdict = judges[name](Conversation.ask("Hello?").with_reply(reply))
    assert (verdict.outcome, verdict.score, verdict.label) == ("failed", None, "")


@pytest.mark.parametrize("name", ["refusal", "harm"])
def test_no_reply_is_failed(name: str, judges: dict[str, Judge]) -> None:
    assert judges[name](Conversation.ask("Hello?")).outcome == "failed"


def test_request_without_words_is_failed(judges: dict[str, Judge]) -> None:
    assert judges["request"](Conversation.ask(" ?! ")).outcome == "failed"


@given(prompt=HOSTILE, reply=HOSTILE)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_hostile_text_never_raises(judges: dict[str, Judge], prompt: str, reply: str) -> None:
    conversation = Conversation.ask(prompt).with_reply(reply)
    for judge in judges.values():
        verdict = judge(conversation)
        assert isinstance(verdict, Verdict)
        assert verdict.score is None or math.isfinite(verdict.score)
        assert all(0 <= a < b <= len(reply) for a, b in verdict.spans)


def test_broken_weight_file_says_what_to_do(tmp_path: Path) -> None:
    module = registry.find("judges", "harm")
    bad = tmp_path / "harm.npz"
    bad.write_bytes(b"PK\x03\x04 no weights")
    for path in (bad, tmp_path / "absent.npz"):
        with pytest.raises(InputError, match="not a weight file") as caught:
            module.build(module.Config(weights=path))
        assert "fit_harm_judge" in caught.value.hint


def test_altered_weights_of_the_harm_judge_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Path(_hashed.__file__).with_name("harm.npz")
    with np.load(shipped) as data:
        kept = {name: data[name] for name in data.files}
    np.savez(tmp_path / "harm.npz", **kept | {"reply_weights": -kept["reply_weights"]})
    monkeypatch.setattr(_hashed, "__file__", str(tmp_path / "_hashed.py"))  # as if the package's own file were damaged
    with pytest.raises(InputError, match="were altered") as caught:
        _hashed.load()
    assert "pip install --force-reinstall" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [{"mix": np.full(4, np.nan)}, {"reply_weights": np.zeros(1000, np.int8)}, {"request_bias": np.array(np.inf)}, {"thresholds": np.zeros(3)}],
)
def test_weights_of_the_wrong_shape_and_no_numbers_are_no_weights(wrong: dict[str, np.ndarray], tmp_path: Path) -> None:
    with np.load(Path(_hashed.__file__).with_name("harm.npz")) as data:
        np.savez(tmp_path / "harm.npz", **{name: data[name] for name in data.files} | wrong)
    with pytest.raises(InputError, match="not a weight file"):
        _hashed.load(tmp_path / "harm.npz")


def test_weights_are_small() -> None:
    assert (Path(charter.judges.__file__).parent / "harm.npz").stat().st_size <= 2_000_000
