"""The arithmetic of one batch of generation, with the common prefix computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charter.core.rows import Reply, Sampling

if TYPE_CHECKING:
    from charter.models.hf import HfModel

MIN_SHARED_TOKENS = 16
MIN_SHARED_ROWS = 2


def generate(model: HfModel, prompts: Sequence[list[int]], sampling: Sampling, seed: int) -> list[Reply]:
    """One reply per prompt (token ids), in order. The same seed and prompts give the same replies on the same machine."""
    import torch

    network, tokenizer = model.network, model.tokenizer
    shared = shared_prefix(prompts)
    ids, mask = left_pad(prompts, shared, tokenizer.pad_token_id, network.device)
    cache = prefix_cache(network, ids[:1, :shared], len(prompts)) if shared else None
    sample: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if sampling.temperature > 0:
        sample = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = network.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            max_new_tokens=sampling.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            **sample,
        )
    ends = _end_ids(network, tokenizer)
    return [_reply(tokenizer, row.tolist(), len(prompt), ends) for row, prompt in zip(output[:, ids.shape[1] :], prompts, strict=True)]


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """Length of what all prompts begin with, leaving each at least one token of its own; 0 where computing it once would not pay."""
    if len(prompts) < MIN_SHARED_ROWS:
        return 0
    shortest = min(map(len, prompts)) - 1
    first = prompts[0]
    n = 0
    while n < shortest and all(p[n] == first[n] for p in prompts):
        n += 1
    return n if n >= MIN_SHARED_TOKENS else 0


def left_pad(prompts: Sequence[list[int]], shared: int, pad: int, device: Any) -> tuple[Any, Any]:
    """``(ids, mask)`` [rows, width]: shared prefix, then padding, then each prompt's own end. Padding inside is masked, so positions stay right."""
    import torch

    width = max(map(len, prompts))
    ids, mask = [], []
    for p in prompts:
        gap = width - len(p)
        ids.append(p[:shared] + [pad] * gap + p[shared:])
        mask.append([1] * shared + [0] * gap + [1] * (len(p) - shared))
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def prefix_cache(network: Any, prefix: Any, rows: int) -> Any:
    """Keys and values of ``prefix`` [1, tokens], computed once and repeated for ``rows``."""
    import torch
    from transformers import DynamicCache

    with torch.inference_mode():
        cache = network(input_ids=prefix, past_key_values=DynamicCache(config=network.config), use_cache=True, logits_to_keep=1).past_key_values
        cache.batch_repeat_interleave(rows)
    return cache


def _end_ids(network: Any, tokenizer: Any) -> set[int]:
    ends = network.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}


def _reply(tokenizer: Any, tokens: list[int], tokens_in: int, ends: set[int]) -> Reply:
    stop = next((n for n, token in enumerate(tokens) if token in ends), None)
    kept = tokens if stop is None else tokens[:stop]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    # the limit can fall inside a character, whose first bytes decode to U+FFFD: nobody said that
    text = (text.rstrip("\ufffd") if stop is None else text).strip()
    if not text:
        return Reply(text="", finish="error", tokens_in=tokens_in, tokens_out=len(kept), error="the model said nothing")
    return Reply(text=text, finish="length" if stop is None else "stop", tokens_in=tokens_in, tokens_out=len(kept))
