"""The generate stages of a recipe: goals and findings become SFT rows, then preferences."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from charter.core.errors import ModelError
from charter.core.rows import TRUNCATED, Answer, Drop, Example, Finding, Preference, Reply, content_id
from charter.core.seeds import stream
from charter.core.shapes import Model
from charter.data.allowed import why_not_allowed
from charter.data.dedupe import HeldOut
from charter.generate.asking import ask_enough
from charter.generate.critique import Revised, critique_and_revise
from charter.generate.feedback import WriterFeedback
from charter.generate.gates import trace_in
from charter.generate.goals import named_by
from charter.generate.preferences import Pair, label
from charter.generate.refusals import RefusalWriter, has_starters_voice
from charter.models import load_model
from charter.models._written import lasting
from charter.recipes.context import Context, hash_of
from charter.recipes.findings import FOREIGN as FOREIGN
from charter.recipes.findings import attacked, framed, sort_out
from charter.recipes.pairing import pair_judge
from charter.recipes.redteaming import REDTEAM
from charter.store.rowlog import RowLog
from charter.store.runs import RunFolder
from charter.train.rows import KEPT

CRITIQUE, PREFERENCES = "3-critique", "4-preferences"
#: Small chat models open so when they miss the point; kept as a good answer, it would teach evasion.
_EVASIVE = re.compile(
    r"^(i'?m (sorry|unable|not|just|only)|sorry|i apolog|as an? (ai|chatbot|language))|\b(chatbot|language model|ai assistant)\b", re.I
)
OTHER_VOICE = "a refusal in the voice of another charter"
UNTWINNED = "the attack does not quote its goal, so it has no harmless counterpart"


@dataclasses.dataclass(frozen=True)
class Material:
    """What there is to make rows from: harmful goals, their harmless counterparts, plain requests, exemplars."""

    goals: list[Example]
    lookalikes: list[Example]
    plain: list[Example]
    exemplars: list[Example]


def generate_rows(context: Context) -> list[Example]:
    """Stage 3: critique and revise, own answers for harmless requests, gates; returns the SFT rows of ``examples.jsonl``."""
    part = context.recipe.generate
    found = RowLog(context.out / REDTEAM / "findings.jsonl", Finding).rows()
    material, left_out = gather(context, found)
    said = {**part.model_dump(mode="json", exclude={"max_failed"}), "feedback": lasting(part.feedback), "pair_judge": lasting(part.pair_judge)}
    config = {"generate": said, "model": context.identity, "charter": context.charter.hash}
    config["feedback"] = part.feedback if part.feedback == "writer" else context.identity_of(part.feedback)
    inputs = {"goals": hash_of(material.goals), "findings": content_id([f.id for f in found]), "evaluation": hash_of(context.evaluation_examples)}
    with context.folder(CRITIQUE, "generate critique", config, inputs) as folder:
        examples = folder.log("examples", Example)
        if folder.finished:
            _require_refusals(context, folder, material.goals, examples.rows(), folder.log("dropped", Drop).rows())
            return examples.rows()
        revised, self_facts = revise(context, material, folder)
        rows, drops = sft_rows(context, material, revised, folder)
        drops = [*left_out, *drops]
        _require_refusals(context, folder, material.goals, rows, drops)
        examples.append((row.key, row) for row in rows)
        folder.log("dropped", Drop).append((drop.subject, drop) for drop in drops)
        dropped = dict(Counter(drop.reason for drop in drops))
        dropped |= {f"revision stopped: {gate} {KEPT}": count for gate, count in revised.stopped_and_kept.items()}
        folder.finish(rows_in=sum(map(len, dataclasses.astuple(material))) + len(left_out), rows_out=len(rows), dropped=dropped, outputs=self_facts)
        return rows


def _require_refusals(context: Context, folder: RunFolder, goals: list[Example], rows: list[Example], drops: list[Drop]) -> None:
    """Raise ModelError where goals became no harmful row at all: a model trained on the rest would learn only to comply."""
    if not goals or any(row.harmful for row in rows):
        return
    keys = {goal.key for goal in goals}
    why = "; ".join(f"{count} x {reason}" for reason, count in Counter(drop.reason for drop in drops if drop.subject in keys).most_common(3))
    part = context.recipe.generate
    mend = "mend the charter's refusals" if part.feedback == "writer" else "let the charter's writer revise (generate.feedback=writer)"
    raise ModelError(
        f"{folder.path}: no refusal is left to train on, of {len(goals)} harmful goals: {why or 'no reason was written down'}",
        f"look at {folder.path / 'revisions.jsonl'}, then {mend} and give another --out",
    )


def gather(context: Context, findings: Iterable[Finding]) -> tuple[Material, list[Drop]]:
    """Training topics and hazards of the charter only (``named_by``); exemplar refusals only in its own voice. Every finding brings the same framing
    around a harmless request, so that the framing itself is not what is refused; where the goal does not stand in the framing word for word,
    there is nothing to put the harmless request in place of, and that row is dropped. A finding that becomes no row is dropped too, with why."""
    part = context.recipe.generate
    first = attacked(context)
    goals = context.examples("train", pairs=part.pairs, parts=("harmful",), first=first)
    twins = context.examples("train", pairs=part.pairs, parts=("twin",), first=first)
    lookalikes = context.examples("train", lookalikes=part.lookalikes, parts=("lookalike",)) if part.lookalikes else []
    lookalikes += context.examples("train", practice=part.practice, parts=("practice",)) if part.practice else []
    plain = context.examples("train", plain=part.plain, parts=("plain",)) if part.plain else []
    exemplars = context.examples("train", parts=("exemplars",)) if part.exemplars else []
    goals, twins, foreign = named_by(context.charter, goals, twins)
    drops = [Drop(subject=example.key, reason=FOREIGN) for example in foreign]
    if not has_starters_voice(context.charter):
        drops += [Drop(subject=example.key, reason=OTHER_VOICE) for example in exemplars if example.harmful]
        exemplars = [example for example in exemplars if not example.harmful]
    by_goal = {goal.prompt: (goal, twin) for goal, twin in zip(goals, twins, strict=True)}
    chosen, dropped = sort_out(context, findings, by_goal)
    drops += dropped
    pairs = [framed(finding, *by_goal[finding.goal]) for finding in chosen]
    attacks, calm = [attack for attack, _ in pairs], [benign for attack, benign in pairs if benign.conversation != attack.conversation]
    drops += [Drop(subject=benign.key, reason=UNTWINNED) for attack, benign in pairs if benign.conversation == attack.conversation]
    return Material([*goals, *attacks], [*twins, *lookalikes, *calm], plain, exemplars), drops


def revise(context: Context, material: Material, folder: RunFolder) -> tuple[Revised, dict[str, str]]:
    """Ask the model for its own replies to the goals, then run the rounds; and the self-critique sample beside it."""
    recipe, part = context.recipe, context.recipe.generate
    items = [(goal.key, goal.conversation) for goal in material.goals]
    log = folder.log("replies", Answer)
    own = ask_enough(context.model, items, recipe.greedy(part.reply_tokens), log, context.reporter, "own replies to goals", part.max_failed)
    initial = {key: answer.reply.text for key, answer in own.items()}
    common: dict[str, Any] = {"rounds": part.rounds, "seed": recipe.seed, "max_tokens": part.feedback_tokens, "reporter": context.reporter}
    facts: dict[str, str] = {}
    if part.self_sample and part.feedback == "writer":
        sample = [g for g in material.goals if "finding" not in g.tags]
        stream(recipe.seed, "self-sample").shuffle(sample)
        sample = sample[: part.self_sample]
        once = {**common, "rounds": 1, "max_failed": 1.0}  # no row is made of it, so its failures are told and end nothing
        tried = critique_and_revise(sample, initial, context.charter, context.model, context.gates, folder, **once, name="self")
        facts = {"self_tried": str(len(sample) - len(tried.failed)), "self_accepted": str(len(tried.replies))}
        facts |= {"self_failed": str(len(tried.failed))} if tried.failed else {}
    feedback = feedback_of(context, part.feedback)
    common["max_failed"] = part.max_failed
    return critique_and_revise(material.goals, initial, context.charter, feedback, context.gates, folder, **common), facts


def feedback_of(context: Context, name: str) -> WriterFeedback | Model:
    if name == "writer":
        return WriterFeedback(RefusalWriter(context.charter, context.recipe.seed))
    return context.model if name == "self" else load_model(name)


def sft_rows(context: Context, material: Material, revised: Revised, folder: RunFolder) -> tuple[list[Example], list[Drop]]:
    """Rows with targets, in a fixed order, and what was dropped on the way."""
    part, drops = context.recipe.generate, []
    rows: list[Example] = []
    for goal in material.goals:
        best = revised.replies.get(goal.key)
        if best is None:
            drops.append(Drop(subject=goal.key, reason=": ".join(["no revision passed the gates", *revised.stops.get(goal.key, ())[-1:]])))
        else:
            tags = (*goal.tags, f"principle:{best.principle}", f"by:{best.by}")
            rows.append(
                goal.model_copy(
                    update={
                        "target": best.revision,
                        "tags": tags,
                        "source": goal.source.model_copy(update={"parents": (*goal.source.parents, best.id)}),
                    }
                )
            )
    harmless = [*material.lookalikes, *material.plain]
    items = [(e.key, e.conversation) for e in harmless]
    sampling = context.recipe.greedy(part.answer_tokens)
    log = folder.log("answers", Answer)
    answers = ask_enough(context.model, items, sampling, log, context.reporter, "own answers to harmless requests", part.max_failed)
    for example in harmless:
        answer = answers[example.key]
        reason = _unfit(context, example, answer)
        if reason:
            drops.append(Drop(subject=example.key, reason=reason))
        else:
            tags = (*example.tags, *((TRUNCATED,) if answer.reply.finish == "length" else ()))
            rows.append(example.model_copy(update={"target": answer.reply.text, "tags": tags}))
    rows += material.exemplars
    return _may_be_held(context, rows, drops)


def _unfit(context: Context, example: Example, answer: Answer) -> str:
    """Why the model's own answer to a harmless request is not worth keeping, or ''."""
    reply: Reply = answer.reply
    if reply.finish == "error" or not reply.text.strip():
        return "no answer"
    if trace := trace_in(reply.text):
        return f"own answer holds a trace of how it was made: {trace}"
    verdict = context.judges["refusal"](example.conversation.with_reply(reply.text))
    if verdict.outcome == "failed":
        return "judge failed"
    if verdict.label in ("full", "partial") or _EVASIVE.search(reply.text):
        return "own answer refuses or evades a harmless request"
    words = reply.text.lower().split()
    return "own answer repeats itself" if len(words) >= 8 and len(set(words)) < len(words) / 2 else ""


def _may_be_held(context: Context, rows: list[Example], drops: list[Drop]) -> tuple[list[Example], list[Drop]]:
    """Drop what no row may say, whoever wrote it, answers with bytes that are no character, and rows whose prompt is, or nearly is, an evaluation
    prompt."""
    held_out = HeldOut([example.prompt for example in context.evaluation_examples])
    kept = []
    for row in rows:
        if reason := why_not_allowed(row, held_out):
            drops.append(Drop(subject=row.key, reason=reason))
        else:
            kept.append(row)
    return kept, drops


def generate_preferences(context: Context, rows: list[Example]) -> list[Preference]:
    """Stage 4: pairs in both directions, labelled by AI feedback."""
    part = context.recipe.generate
    pairs = _pairs(context, rows)
    judge_name = part.pair_judge if part.pair_judge == "rules" else context.identity_of(part.pair_judge)
    config = {"pair_judge": judge_name, "reasoning": part.pair_reasoning, "tie_band": part.tie_band, "charter": context.charter.hash}
    with context.folder(PREFERENCES, "generate preferences", config, {"examples": content_id([p.example.id for p in pairs])}) as folder:
        log = folder.log("preferences", Preference)
        if folder.finished:
            return log.rows()
        judge = pair_judge(context, part.pair_judge)
        done = label(pairs, context.charter, judge, folder, tie_band=part.tie_band, seed=context.recipe.seed, reporter=context.reporter)
        facts = {"overturned": str(done.overturned)}
        folder.finish(rows_in=len(pairs), rows_out=len(done.preferences), dropped=done.dropped, outputs=facts)
        return done.preferences


def _pairs(context: Context, rows: list[Example]) -> list[Pair]:
    """Half: the revision against the model's own reply. Half: the model's answer to a look-alike against a refusal of it."""
    part = context.recipe.generate
    replies = dict(RowLog(context.out / CRITIQUE / "replies.jsonl", Answer).items())
    writer = RefusalWriter(context.charter, context.recipe.seed)
    harmless: list[Pair] = []
    helpful: list[Pair] = []
    for row in rows:
        if "exemplar" in row.tags or not row.target:
            continue
        if row.harmful and row.key in replies:
            own = replies[row.key].reply
            harmless.append(Pair(row, row.target, own.text, "harmless", (own.text,) if own.finish == "length" else ()))
        elif "twin" in row.tags or "lookalike" in row.tags:
            helpful.append(Pair(row, row.target, writer(row, 1), "helpful", (row.target,) if TRUNCATED in row.tags else ()))
    half = part.preference_pairs // 2
    rng = stream(context.recipe.seed, "preference-pairs")
    rng.shuffle(harmless)
    rng.shuffle(helpful)
    # a pair with an empty side goes on to ``label``, which drops and counts it
    return [*harmless[:half], *helpful[:half]]
