"""From the trained network to ONNX with int8 weights. The graph is written here as it runs, so that it depends on no exporter and no optimiser.

Matrix products are onnxruntime's DynamicQuantizeMatMul: weights per output channel, activations by the range of what stands in the call. Weights use
seven bits: two products of eight bits overflow the sixteen that older processors add them in, and a text would have other scores there. Residual sums
and layer norms stay apart, because onnxruntime's operator for both at once takes four times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from charter.train.classifier.network import Network

_MS = "com.microsoft"
#: Largest weight: seven bits with sign for products, eight for the table of words, which is only looked up.
PRODUCT_TOP, TABLE_TOP = 63, 127


class _Graph:
    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: Any) -> str:
        self.weights.append(self._numpy.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(self._helper.make_node(kind, list(inputs), [name], name=f"{name}_node", domain=domain, **attributes))
        return name

    def thirds(self, source: str, names: Sequence[str]) -> None:
        self.nodes.append(self._helper.make_node("Split", [source], list(names), name=f"{source}_split", axis=-1, num_outputs=len(names)))

    def product(self, source: str, name: str, weight: Any, bias: Any) -> str:
        """``source`` (b, s, k) times ``weight`` (k, n) plus ``bias`` (n)."""
        whole, scale = quantised(weight, 0, PRODUCT_TOP)
        inputs = [source, self.weight(f"{name}_w", whole), self.weight(f"{name}_s", scale[0]), "", self.weight(f"{name}_b", bias)]
        return self.node("DynamicQuantizeMatMul", inputs, name, _MS)

    def norm(self, source: str, name: str, weight: Any, bias: Any, epsilon: float) -> str:
        inputs = [source, self.weight(f"{name}_w", weight), self.weight(f"{name}_b", bias)]
        return self.node("LayerNormalization", inputs, name, axis=-1, epsilon=epsilon)


def quantised(weight: Any, axis: int, top: int) -> tuple[Any, Any]:
    """(int8 of ``weight``'s shape, float32 scales with 1 along ``axis``): each line along ``axis`` has its own scale."""
    scale = (np.abs(weight).max(axis=axis, keepdims=True) / top).astype(np.float32)
    scale[scale == 0.0] = 1.0
    return np.clip(np.rint(weight / scale), -top, top).astype(np.int8), scale


def write_onnx(network: Network, path: Path, length: int) -> None:
    """input_ids, token_type_ids (b, s) and position_ids (s) in, ``logits`` (b, outputs) out, and for the sentences of a window the token vectors of
    the last layer (b, s, width) and the heads' weights. All rows are equally long: nothing is padded."""
    import onnx
    from onnx import TensorProto, helper

    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    settings = network.body.config
    epsilon = float(settings.layer_norm_eps)
    g = _Graph()
    hidden = _embed(g, state, length, epsilon)
    for number in range(settings.num_hidden_layers):
        hidden = _layer(g, state, number, hidden, settings.num_attention_heads, epsilon)
    axis = g.weight("token_axis", np.array([1], np.int64))
    g.node("ReduceMean", [hidden, axis], "mean", keepdims=0)
    g.node("ReduceMax", [hidden, axis], "highest", keepdims=0)
    g.node("Concat", ["mean", "highest"], "pooled", axis=1)
    g.node("Gemm", ["pooled", g.weight("heads_w", state["heads.weight"].T), g.weight("heads_b", state["heads.bias"])], "logits")
    g.node("Identity", ["heads_w"], "heads_weight")
    g.node("Identity", ["heads_b"], "heads_bias")

    def entry(name: str, shape: list[str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT32, shape)

    inputs = [*(entry(name, ["b", "s"]) for name in ("input_ids", "token_type_ids")), entry("position_ids", ["s"])]
    wide, outputs = settings.hidden_size, state["heads.bias"].shape[0]
    shapes = {"logits": ["b", outputs], hidden: ["b", "s", wide], "heads_weight": [2 * wide, outputs], "heads_bias": [outputs]}
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(g.nodes, "charter-classifier", inputs, told, g.weights)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_MS, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="charter"), str(path))


def _embed(g: _Graph, state: dict[str, Any], length: int, epsilon: float) -> str:
    from onnx import TensorProto

    at = "body.embeddings."
    whole, scale = quantised(state[f"{at}word_embeddings.weight"], 1, TABLE_TOP)
    g.node("Gather", [g.weight("word", whole), "input_ids"], "word_int8")
    g.node("Gather", [g.weight("word_scale", scale), "input_ids"], "word_scales")
    g.node("Cast", ["word_int8"], "word_float", to=TensorProto.FLOAT)
    g.node("Mul", ["word_float", "word_scales"], "word_vectors")
    g.node("Gather", [g.weight("segment", state[f"{at}token_type_embeddings.weight"]), "token_type_ids"], "segment_vectors")
    g.node("Gather", [g.weight("place", state[f"{at}position_embeddings.weight"][:length]), "position_ids"], "place_vectors")
    g.node("Add", ["segment_vectors", "place_vectors"], "other_vectors")
    g.node("Add", ["word_vectors", "other_vectors"], "all_vectors")
    return g.norm("all_vectors", "layer_0", state[f"{at}LayerNorm.weight"], state[f"{at}LayerNorm.bias"], epsilon)


def _layer(g: _Graph, state: dict[str, Any], number: int, hidden: str, heads: int, epsilon: float) -> str:
    at = f"body.encoder.layer.{number}."

    def product(source: str, name: str, key: str) -> str:
        return g.product(source, f"{name}_{number}", state[f"{at}{key}.weight"].T, state[f"{at}{key}.bias"])

    def add_and_norm(source: str, rest: str, name: str, key: str) -> str:
        g.node("Add", [source, rest], f"{name}_sum")
        return g.norm(f"{name}_sum", name, state[f"{at}{key}.LayerNorm.weight"], state[f"{at}{key}.LayerNorm.bias"], epsilon)

    parts = [f"{at}attention.self.{name}" for name in ("query", "key", "value")]
    weight = np.concatenate([state[f"{p}.weight"].T for p in parts], axis=1)
    seen = [f"{name}_{number}" for name in ("query", "key", "value")]
    g.thirds(g.product(hidden, f"qkv_{number}", weight, np.concatenate([state[f"{p}.bias"] for p in parts])), seen)
    g.node("MultiHeadAttention", seen, f"attention_{number}", _MS, num_heads=heads)
    mid = add_and_norm(product(f"attention_{number}", "out", "attention.output.dense"), hidden, f"mid_{number}", "attention.output")
    g.node("Gelu", [product(mid, "up", "intermediate.dense")], f"gelu_{number}", approximate="tanh")
    return add_and_norm(product(f"gelu_{number}", "down", "output.dense"), mid, f"layer_{number + 1}", "output")
