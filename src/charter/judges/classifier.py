"""Harmful requests and replies, jailbreaks, injections, toxicity, refusals and hazards: one small shipped encoder.

A MiniLM (22M parameters, int8 ONNX) read by onnxruntime; no model to download, no torch. Scores are calibrated on sources that it was not trained
on, and its operating points are set there by their share of false alarms; ``docs/classifier.md`` is its model card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError
from charter.core.gloss import lists as gloss_lists
from charter.core.normalise.fold import seen
from charter.core.rows import Conversation, Verdict
from charter.judges import _stock, refusal
from charter.judges._calibration import Floats
from charter.judges._encoder import CARD, RETRAIN, Encoder, Kept
from charter.judges._heads import CONTENT_HEADS, HAZARDS, OPERATOR_HEADS, REPLY_HEADS, TEXT_HEADS, openai_categories
from charter.judges._loaded import loaded
from charter.judges._points_check import check_heads
from charter.judges._reply_inputs import Said, said
from charter.judges._scoring import Scored, Scorer

NOT_COVERED = (
    "Intent that shows only over several turns, harm that needs knowledge to see (a wrong dose, a false claim), languages that have no word list "
    "(with one, a text is read word for word, which finds less than in English), "
    "encoded text (normalise it first), images. Sexual content about minors: it was shown none and is no filter for it."
)
#: Heads that decide the outcome, by what is judged.
DECIDING = {"request": ("harmful_request", "jailbreak", "injection"), "reply": ("harmful_reply",), "content": ("toxicity",)}
#: Heads that a verdict has, by what is judged.
ANY = {kind: (*heads, *CONTENT_HEADS) for kind, heads in (("request", TEXT_HEADS), ("reply", (*REPLY_HEADS, *TEXT_HEADS)), ("content", TEXT_HEADS))}
#: A hazard is named from this share of the softmax, and only beside a verdict that is not safe.
NAMED = 0.35
TEACH = "rows with these labels in the recipe (docs/classifier.md), then charter train classifier; or leave weights empty for the shipped ones"
#: Replies of which is kept what the refusal rules said.
KEPT = 256


class Config(BaseConfig):
    """Settings of the classifier."""

    weights: Path | None = Field(default=None, description="folder of your own weights (charter train classifier); empty means the shipped ones")
    subject: Literal["auto", "request", "reply", "content"] = Field(
        default="auto", description="what decides: auto is the reply where there is one, else the request; content is toxicity"
    )
    threads: int = Field(default=0, ge=0, description="threads of the encoder; 0 means at most two")
    content_of_replies: bool = Field(default=True, description="replies also get toxicity and the other content heads, which takes as long again")
    other_languages: bool = Field(
        default=True, description="read texts in another language word for word in English too, which takes about as long again"
    )


class ClassifierJudge:
    """``outcome`` is unsafe at or over a deciding head's upper operating point, safe under all the lower ones, else unsure. ``score`` is the
    highest deciding probability; ``scores`` has every head; ``label`` is the refusal label of the refusal rules where there is a reply;
    ``spans`` point into the judged text where it is longer than one window or was also read by its English words. No text that a reader sees is
    ``failed``, and so is a question to which the weights were taught no head. Heads of ``untaught`` give no score and decide nothing.

    ``by_any``: where none of the deciding heads was taught, the others decide: for callers that read single heads of ``scores``. Raises InputError
    where nothing that decides was taught.
    """

    name = "classifier"
    #: What it answers, for measuring, as far as it was taught; a head's own answer is its score at the upper operating point.
    answers: tuple[str, ...] = ("harmful_request", "harmful_reply", "jailbreak", "injection", "toxicity", "refusal")

    def __init__(
        self, encoder: Encoder, subject: str = "auto", content_of_replies: bool = True, other_languages: bool = True, by_any: bool = False
    ) -> None:
        self.scorer = Scorer(encoder, other_languages)
        self.untaught = self.scorer.untaught
        self.answers = self._taught(type(self).answers)
        self.names_hazards = bool(self._taught(tuple(HAZARDS)))
        self._deciding = {kind: self._taught(heads) or (self._taught(ANY[kind]) if by_any else ()) for kind, heads in DECIDING.items()}
        if not any(self._deciding[kind] for kind in (("request", "reply") if subject == "auto" else (subject,))):
            self.need("its verdict", *(DECIDING[subject] if subject != "auto" else (*DECIDING["request"], *DECIDING["reply"])))
        self._refusal = refusal.build(refusal.Config())
        self._rules: Kept[bytes, Said] = Kept(KEPT)
        self.version = f"{encoder.version}+{_stock.version()}+{self._refusal.version}" + (f"+{gloss_lists.version()}" if other_languages else "")
        self._subject, self._content = subject, content_of_replies or subject == "content"
        heads = encoder.card["heads"]
        served = {"toxicity": heads["moderation"]["points"]} if "moderation" in heads else {}
        self.points: dict[str, dict[str, float]] = {name: head["points"] for name, head in heads.items()} | served
        self.thresholds = {name: self.points[name]["unsafe"] for name in self.answers}

    def need(self, who: str, *heads: str) -> None:
        """Raises InputError where the weights were not taught all of ``heads``, naming who needs them."""
        missing = [head for head in heads if head in self.untaught]
        if missing:
            folder = self.scorer.encoder.folder
            raise InputError(f"{folder / CARD}: {who} needs {', '.join(missing)}, which no row taught these weights (untaught)", TEACH)

    def _taught(self, heads: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(head for head in heads if head not in self.untaught)

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Verdicts in order; one pass of the encoder over all of them."""
        prompts = self._beside(
            self.scorer.texts([c.prompt for c in conversations]), [c.prompt for c in conversations], [c.operator for c in conversations]
        )
        replied = [n for n, c in enumerate(conversations) if c.reply is not None and self._subject != "request"]
        pairs = [(conversations[n].prompt, conversations[n].reply or "") for n in replied]
        asked = prompts.asks[replied] if replied else np.zeros(0)
        read = self.scorer.read_replies(pairs) if replied else None  # first: another thread may ask the rules meanwhile
        rules = [self._said(*pair) for pair in pairs]
        replies = self.scorer.replies(read, rules, asked) if read is not None else None
        content = self.scorer.texts([pair[1] for pair in pairs]) if replied and self._content else None
        place = {n: k for k, n in enumerate(replied)}
        labels = {n: rule.label for n, rule in zip(replied, rules, strict=True)}
        return [self._verdict(c, n, place.get(n), prompts, replies, content, labels.get(n, "")) for n, c in enumerate(conversations)]

    def forget(self) -> None:
        """Read everything anew from here on: for measurements."""
        self.scorer.forget()
        self._rules.clear()

    def warm(self) -> None:
        """Read now what some texts need and the first of them would wait for."""
        self.scorer.warm()

    def ahead(self, conversation: Conversation) -> None:
        """Work out what needs no encoder and will be asked for: for a thread that would wait while another one reads the same conversation."""
        reply = conversation.reply if self._subject != "request" else None
        self.scorer.ahead(conversation.prompt, reply)
        if reply is not None:
            self._said(conversation.prompt, reply)

    def score(self, subjects: Sequence[str | tuple[str, str]], operators: Sequence[str] = ()) -> dict[str, Floats]:
        """Probabilities by head of texts, or of (request, reply) pairs: arrays of shape (n,), nan where a head does not apply.

        For a pair, ``harmful_request``, ``jailbreak`` and ``injection`` are the request's, everything else is the reply's. ``operators`` are the
        instructions of who set the model up, one for each subject ('' for none): ``injection`` then also finds what goes against them.
        """
        asked = [s if isinstance(s, str) else s[0] for s in subjects]
        texts = self._beside(self.scorer.texts(asked), asked, operators)
        found = {name: values.copy() for name, values in texts.probabilities.items()}
        replied = [n for n, s in enumerate(subjects) if not isinstance(s, str)]
        heads = ("harmful_reply", "refusal", *(("achieved",) if self.scorer.reads_achieved else ()))
        extra = {name: np.full(len(subjects), np.nan) for name in heads}
        if replied:
            pairs = [s for s in subjects if not isinstance(s, str)]
            read, rules = self.scorer.read_replies(pairs), [self._said(*pair) for pair in pairs]
            for name, values in self.scorer.replies(read, rules, texts.asks[replied]).probabilities.items():
                extra[name][replied] = values
            for name, values in self.scorer.texts([p[1] for p in pairs]).probabilities.items():
                if name not in DECIDING["request"]:
                    found[name][replied] = values
        return found | extra

    def _beside(self, scored: Scored, texts: Sequence[str], operators: Sequence[str]) -> Scored:
        """``scored`` with what the texts look like beside the operators' instructions: ``against_operator``, and ``injection`` at least as high."""
        told = [n for n, operator in enumerate(operators) if operator.strip() and texts[n].strip()]
        if not told or not self.scorer.reads_operators:
            return scored
        found = self.scorer.beside([(operators[n], texts[n]) for n in told])
        against, injection = np.full(len(texts), np.nan), scored.probabilities["injection"].copy()
        against[told] = found
        if "injection" not in self.untaught:
            injection[told] = np.maximum(injection[told], self.scorer.as_injection(found))
        return scored._replace(probabilities={**scored.probabilities, "injection": injection, OPERATOR_HEADS[0]: against})

    def _said(self, prompt: str, reply: str) -> Said:
        """What the refusal rules say. Kept for a while: see ``ahead``."""
        key = hashlib.sha256(b"%d:" % len(prompt) + f"{prompt}{reply}".encode("utf-8", "surrogatepass")).digest()
        known = self._rules.get([key]) or {key: said(self._refusal, prompt, reply)}
        self._rules.put(known)
        return known[key]

    def _verdict(
        self, c: Conversation, n: int, k: int | None, prompts: Scored, replies: Scored | None, content: Scored | None, label: str
    ) -> Verdict:
        subject = self._subject if self._subject != "auto" else "request" if k is None else "reply"
        judged = c.prompt if k is None else c.reply or ""
        if not seen(judged) or (subject == "reply" and k is None):
            why = "there is no text to judge" if not seen(judged) else "the conversation does not end in a reply"
            return Verdict(subject=c.id, outcome="failed", reason=why, judge=self.name, judge_version=self.version)
        if not self._deciding[subject]:
            why = f"these weights were not taught {', '.join(DECIDING[subject])}"
            return Verdict(subject=c.id, outcome="failed", reason=why, judge=self.name, judge_version=self.version)
        scores = {name: float(values[n]) for name, values in prompts.probabilities.items() if not np.isnan(values[n])}
        spans = prompts.spans[n]
        if k is not None and replies is not None:
            # what is asked keeps the request's heads, and its hazards where the reply's content was not read
            kept = {*DECIDING["request"], *OPERATOR_HEADS, *(HAZARDS if content is None else ())}
            scores = {name: value for name, value in scores.items() if name in kept}
            if content is not None:
                scores |= {name: float(values[k]) for name, values in content.probabilities.items() if name not in DECIDING["request"]}
            scores |= {name: float(values[k]) for name, values in replies.probabilities.items()}
            scores = {name: value for name, value in scores.items() if name not in self.untaught}
            spans = (content.spans[k] if content is not None else {}) | replies.spans[k]
        heads = [head for head in self._deciding[subject] if head in scores]
        outcome, worst = self._outcome(scores, heads)
        hazards = [code for code in HAZARDS if scores.get(code, 0.0) >= NAMED] if outcome != "safe" else []
        reason = f"{worst} {scores[worst]:.2f}, unsafe from {self.points[worst]['unsafe']:.2f}"
        return Verdict.model_validate(
            {"subject": c.id, "outcome": outcome, "score": max(scores[h] for h in heads), "scores": {k: round(v, 6) for k, v in scores.items()},
             "label": label, "hazards": hazards, "spans": (spans[worst],) if worst in spans and outcome != "safe" else (), "reason": reason,
             "judge": self.name, "judge_version": self.version}
        )  # fmt: skip

    def _outcome(self, scores: dict[str, float], heads: Sequence[str]) -> tuple[str, str]:
        """The outcome and the head that says it: the one furthest over (or nearest to) its upper operating point."""
        worst = max(heads, key=lambda h: scores[h] - self.points[h]["unsafe"])
        if scores[worst] >= self.points[worst]["unsafe"]:
            return "unsafe", worst
        unsure = [h for h in heads if scores[h] >= self.points[h]["safe"]]
        return ("unsure", max(unsure, key=lambda h: scores[h])) if unsure else ("safe", worst)


def build(config: Config, by_any: bool = False) -> ClassifierJudge:
    """A judge with the shipped weights or those of a folder. Raises InputError when they are missing, altered, not yet calibrated, or were taught
    nothing of ``subject``, and where their card lacks something."""
    encoder = loaded(config.weights, config.threads)
    card = encoder.card
    if card.get("heads") == {} or card.get("stacks") == {}:
        raise InputError(
            f"{config.weights}: its training was stopped before it was calibrated",
            f"let it go on: charter train classifier RECIPE --out {config.weights}",
        )
    try:
        check_heads(card)
    except ValueError as error:
        raise InputError(f"{encoder.folder / CARD}: {error}", RETRAIN) from None
    return ClassifierJudge(encoder, config.subject, config.content_of_replies, config.other_languages, by_any)


__all__ = ["NOT_COVERED", "ClassifierJudge", "Config", "build", "openai_categories"]
