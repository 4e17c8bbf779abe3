"""Ask a model many things, keep every answer, ask nothing twice.

The work list is cut into batches by the model before anything is looked up, so a resumed run asks in the same batches as an unbroken one and gets
the same text even where arithmetic depends on what else is in the batch. A batch is written when it is whole; a kill costs at most one batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from charter.core.progress import SILENT, Reporter
from charter.core.rows import Answer, Conversation, Sampling
from charter.core.shapes import Model
from charter.store.rowlog import RowLog


def ask(
    model: Model,
    items: Sequence[tuple[str, Conversation]],
    sampling: Sampling,
    log: RowLog[Answer],
    reporter: Reporter = SILENT,
    what: str = "replies",
    again: Collection[str] = (),
) -> dict[str, Answer]:
    """Answers by key, for every item, in the order of ``items``. Keys must be unique; those in ``again`` are asked although they are there.

    A reply that failed is stored as such (``finish='error'``): the caller counts it. Raises what the model raises when nothing can be asked at all.
    """
    conversations = [conversation for _, conversation in items]
    keys = [key for key, _ in items]
    if len(set(keys)) != len(keys):
        raise ValueError("ask needs unique keys")
    batches = model.batches(conversations, sampling)
    waiting = [batch for batch in batches if any(keys[i] not in log for i in batch)]
    waiting += [repeated for batch in batches if batch not in waiting and (repeated := [i for i in batch if keys[i] in again])]
    done = len(keys) - sum(len(batch) for batch in waiting)
    with reporter.track(what, len(keys), done) as advance:
        for batch in waiting:
            replies = model.reply([conversations[i] for i in batch], sampling)
            rows = [
                (keys[i], Answer(model=model.spec, conversation=conversations[i], sampling=sampling, reply=reply))
                for i, reply in zip(batch, replies, strict=True)
            ]
            log.append(row for row in rows if row[0] not in again)
            log.replace(row for row in rows if row[0] in again)
            advance(len(batch))
    stored = dict(log.items())
    return {key: stored[key] for key in keys}
