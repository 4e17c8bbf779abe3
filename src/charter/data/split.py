"""Splitting by topic: whole topics go to one side, so that nothing learnt about a topic can be tested on it."""

from __future__ import annotations

from collections.abc import Iterable

from charter.core.seeds import stream


def held_out_topics(topics: Iterable[tuple[str, str]], share: float, seed: int) -> set[tuple[str, str]]:
    """The (group, topic) pairs held out for evaluation: ``share`` of each group's topics, at least one, drawn by ``seed``."""
    by_group: dict[str, set[str]] = {}
    for group, topic in topics:
        by_group.setdefault(group, set()).add(topic)
    held: set[tuple[str, str]] = set()
    for group, names in sorted(by_group.items()):
        order = sorted(names)
        stream(seed, "split", group).shuffle(order)
        held |= {(group, topic) for topic in order[: max(1, round(len(order) * share))]}
    return held
