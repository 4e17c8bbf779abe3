"""The head on instructions, set anew when the network is done: a logistic regression on what the network makes of the pairs.

The network learns it from texts that fit beside instructions. Long harmless texts, which come in several windows, were then flagged: here it also
sees those, and a ridge keeps it from leaning on what only the learned pairs have. The rest of the network stays as it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from charter.core.seeds import stream
from charter.judges._heads import OPERATOR_HEADS, OUTPUTS
from charter.train.classifier.calibrate import logistic
from charter.train.classifier.fit import items_of, low_precision, window_of
from charter.train.classifier.network import Network, collate, pool
from charter.train.classifier.pairing import beside_plain
from charter.train.classifier.recipe import FitConfig
from charter.train.classifier.rows import LabelledText

#: Harmless texts beside plain instructions, and the shortest of them in words.
COUNT, SHORTEST = 2500, 25
#: Fewer rows than this, or rows of one kind, settle nothing.
FEWEST = 50
_BATCH = 24


def settle(network: Network, rows: Sequence[LabelledText], tokenizer: Tokenizer, config: FitConfig, seed: int) -> bool:
    """Set the head in place; whether there was enough to set it on."""
    (head,) = OPERATOR_HEADS
    rng = stream(seed, "classifier", "settle")
    told = [row for row in rows if head in row.labels]
    gold = [round(row.labels[head]) for row in told]
    if len(told) < FEWEST or len(set(gold)) < 2:
        return False
    told += beside_plain([row for row in rows if len(row.text.split()) > SHORTEST], rng, COUNT, "own_beside")
    labels = np.array([round(row.labels[head]) for row in told], dtype=np.float64)
    features = _features(network, told, tokenizer, config, rng)
    middle, spread = features.mean(0), features.std(0) + 1e-3
    theta = logistic(np.column_stack([np.ones(len(labels)), (features - middle) / spread]), labels, np.ones(len(labels)))
    weight = theta[1:] / spread
    at = OUTPUTS.index(head)
    with torch.no_grad():
        network.heads.weight[at] = torch.from_numpy(weight.astype(np.float32))
        network.heads.bias[at] = float(theta[0] - weight @ middle)
    return True


@torch.no_grad()  # type: ignore[untyped-decorator]
def _features(network: Network, rows: Sequence[LabelledText], tokenizer: Tokenizer, config: FitConfig, rng: random.Random) -> Any:
    """(n, twice the width): what the heads see of one window of each row, in float64."""
    torch.set_num_threads(1)
    network.eval()
    windows = [window_of(item, tokenizer, config.length, rng) for item in items_of(rows, tokenizer, {})]
    order = sorted(range(len(windows)), key=lambda n: len(windows[n].ids))
    found = np.zeros((len(windows), network.heads.in_features), np.float64)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        ids, segments, mask = collate([windows[n] for n in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low_precision(config)):
            hidden = network.body(input_ids=ids, token_type_ids=segments, attention_mask=mask).last_hidden_state
        found[batch] = pool(hidden.float(), mask).numpy()
    return found
