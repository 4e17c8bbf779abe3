"""Training the network: batches of windows of like length, seeded order, a checkpoint now and then; same seed and rows, same weights.

Bit for bit on one machine: as many threads as the recipe says (they cut the sums, so another number gives other bits), and the random state of every
step is derived from the seed and the step's number, so that a resumed run draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from charter.core.errors import TrainError
from charter.core.seeds import derive, stream
from charter.judges._heads import HAZARDS, YES_NO
from charter.judges._windows import Window, cut_long_words, operator_windows, reply_windows, text_windows
from charter.train.classifier.network import Network, collate, loss_of
from charter.train.classifier.recipe import FitConfig
from charter.train.classifier.rows import MOST_CHARACTERS, MOST_TOKENS, LabelledText

CHECKPOINT = "checkpoint.pt"


class Item(NamedTuple):
    """A row as token ids; its window is drawn anew in every epoch."""

    text: list[int]
    reply: list[int] | None
    operator: list[int] | None
    target: np.ndarray[Any, np.dtype[np.float32]]
    known: np.ndarray[Any, np.dtype[np.float32]]
    hazard: int


def items_of(rows: Sequence[LabelledText], tokenizer: Tokenizer, repeat: Mapping[str, int]) -> list[Item]:
    """Rows as token ids, at most ``MOST_TOKENS`` of each text; rows of some sources several times, as ``repeat`` says."""

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return [
            e.ids[:MOST_TOKENS] for e in tokenizer.encode_batch([cut_long_words(t[:MOST_CHARACTERS]).text for t in texts], add_special_tokens=False)
        ]

    texts, said, told = ids([r.text for r in rows]), ids([r.reply or "" for r in rows]), ids([r.operator or "" for r in rows])
    codes = list(HAZARDS)
    items = []
    for row, text, reply, operator in zip(rows, texts, said, told, strict=True):
        target, known = np.zeros(len(YES_NO), np.float32), np.zeros(len(YES_NO), np.float32)
        for head, value in row.labels.items():
            target[YES_NO.index(head)], known[YES_NO.index(head)] = value, row.weight
        hazard = codes.index(row.hazard) if row.hazard else -1
        items.append(Item(text, None if row.reply is None else reply, None if row.operator is None else operator, target, known, hazard))
    return [item for item, row in zip(items, rows, strict=True) for _ in range(repeat.get(row.source, 1))]


def window_of(item: Item, tokenizer: Tokenizer, length: int, rng: random.Random | None) -> Window:
    """The first window, or (given a generator) sometimes a later one."""
    cls, sep = int(tokenizer.token_to_id("[CLS]") or 0), int(tokenizer.token_to_id("[SEP]") or 0)
    if item.operator is not None:
        windows = operator_windows(item.operator, item.text, cls, sep, length)
    else:
        windows = text_windows(item.text, cls, sep, length) if item.reply is None else reply_windows(item.text, item.reply, cls, sep, length)
    return windows[0] if rng is None or rng.random() < 0.7 else rng.choice(windows)


def batches(lengths: Sequence[int], batch_tokens: int, rng: random.Random) -> list[list[int]]:
    """Row numbers in batches of about ``batch_tokens`` padded tokens, rows of like length together, in random order."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    found: list[list[int]] = []
    chunk = 4000
    for start in range(0, len(order), chunk):
        batch: list[int] = []
        for index in sorted(order[start : start + chunk], key=lambda i: lengths[i]):
            if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
                found.append(batch)
                batch = []
            batch.append(index)
        found.append(batch)
    rng.shuffle(found)
    return found


def fit(
    network: Network, items: Sequence[Item], tokenizer: Tokenizer, config: FitConfig, seed: int, folder: Path, tell: Callable[[str], None]
) -> None:
    """Train in place. Continues from ``folder``/checkpoint.pt if one is there. Raises TrainError if the loss is not finite."""
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    plan = _plan(items, tokenizer, config, seed)
    groups = _groups(network, config)
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, eps=1e-6)
    mean = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
    low, rarity = low_precision(config), _rarity(items)
    path, first = folder / CHECKPOINT, 0
    if (state := saved(path, tell)) is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first, mean = int(state["step"]), state["mean"]
    network.train()
    shown = 0.0
    for step in range(first, len(plan)):
        torch.manual_seed(derive(seed, "step", step))
        rate = _rate(step / len(plan), config.warmup)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        windows, picked = plan[step]
        target = torch.from_numpy(np.stack([items[i].target for i in picked]))
        known = torch.from_numpy(np.stack([items[i].known for i in picked]))
        hazard = torch.tensor([items[i].hazard for i in picked])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            logits = network(*collate(windows))
        loss = loss_of(logits.float(), target, known, hazard, config.smoothing, rarity)
        if not torch.isfinite(loss):
            raise TrainError(f"the loss is not finite at step {step}", "lower body_rate in the recipe")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
        optimizer.step()
        _into_mean(mean, network, min(config.average, (1.0 + step) / (10.0 + step)) if config.average else 0.0)
        shown = loss.item() if step == first else 0.98 * shown + 0.02 * loss.item()
        if (step + 1) % 50 == 0:
            tell(f"step {step + 1} of {len(plan)}, loss {shown:.4f}")
        if (step + 1) % config.checkpoint_steps == 0 and step + 1 < len(plan):
            save(path, {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "mean": mean, "step": step + 1})
    network.load_state_dict(mean, strict=False)
    network.eval()


def _rarity(items: Sequence[Item]) -> torch.Tensor:
    """Weight of each hazard: the root of how much rarer it is than the mean, from a half to two, so that the common ones are not said for all."""
    counts = np.bincount([item.hazard for item in items if item.hazard >= 0], minlength=len(HAZARDS))
    usual = max(1.0, float(counts.sum()) / max(1, int((counts > 0).sum())))
    return torch.from_numpy(np.clip(np.sqrt(usual / np.maximum(counts, 1)), 0.5, 2.0).astype(np.float32))


def low_precision(config: FitConfig) -> bool:
    """Whether products are taken in bfloat16."""
    from charter.models._device import cpu_placement

    return (cpu_placement().dtype if config.precision == "auto" else config.precision) == "bfloat16"


@torch.no_grad()  # type: ignore[untyped-decorator]
def _into_mean(mean: dict[str, torch.Tensor], network: Network, decay: float) -> None:
    """Moves the running mean of the weights: it holds better on sources that were not trained on than the last step's weights do."""
    for name, parameter in network.named_parameters():
        if name in mean:
            mean[name].lerp_(parameter, 1.0 - decay)


def save(path: Path, state: Any) -> None:
    """So that a stop leaves the old file or the new one, never half of one."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def saved(path: Path, tell: Callable[[str], None]) -> Any:
    """What was saved there; None if nothing was, or if it cannot be read, which is told."""
    if not path.exists():
        return None
    held = io.BytesIO(path.read_bytes())
    try:
        return torch.load(held, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, pickle.UnpicklingError):
        tell(f"{path}: is damaged, as by a stop while it was written; what it held is made again")
        return None


def _plan(items: Sequence[Item], tokenizer: Tokenizer, config: FitConfig, seed: int) -> list[tuple[list[Window], list[int]]]:
    """The windows of every step of the whole run. A part of an epoch at the end takes the first part of its batches."""
    plan: list[tuple[list[Window], list[int]]] = []
    epoch, left = 0, config.epochs
    while left > 0:
        rng = stream(seed, "epoch", epoch)
        windows = [window_of(item, tokenizer, config.length, rng) for item in items]
        found = batches([len(w.ids) for w in windows], config.batch_tokens, rng)
        found = found[: max(1, round(len(found) * min(1.0, left)))]
        plan += [([windows[i] for i in batch], batch) for batch in found]
        epoch, left = epoch + 1, left - 1.0
    return plan


def _groups(network: Network, config: FitConfig) -> list[dict[str, Any]]:
    """Heads at their own rate; each layer of the body below the top learns a little slower (Howard and Ruder 2018)."""
    layers = list(network.body.encoder.layer)
    groups: list[dict[str, Any]] = [{"params": list(network.heads.parameters()), "peak": config.head_rate}]
    for depth, layer in enumerate(reversed(layers[network.frozen :])):
        groups.append({"params": list(layer.parameters()), "peak": config.body_rate * config.layer_decay**depth})
    return [{**group, "lr": group["peak"]} for group in groups]


def _rate(done: float, warmup: float) -> float:
    return done / warmup if done < warmup else max(0.0, (1.0 - done) / (1.0 - warmup))
