"""What all judges that ask a model share: which questions, one group for many conversations, strict reading, failures that stay failures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from charter.core.config import Config as BaseConfig
from charter.core.errors import InputError, ModelError, NoModelError
from charter.core.normalise.fold import seen
from charter.core.rows import Conversation, Outcome, Reply, Sampling, Verdict
from charter.core.shapes import Model
from charter.judges._quoting import fill, mark_for, quoted, transcript
from charter.models import load_model
from charter.models._identity import identity

#: A whole block of reasoning at the start, as reasoning models write it.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class NoVerdict(ValueError):
    """What the model said is not exactly a verdict; the text says why, without the model's words."""


class AskingJudge:
    """Asks a model about each conversation and reads what it says.

    Subclasses give ``questions`` and ``read``. ``read`` raises NoVerdict for anything that is not exactly a verdict: then the verdict is failed. So
    is it where the model gave no reply, or one that was cut. A model that cannot be reached at all raises ModelError.
    """

    name = ""
    #: The heads that it gives verdicts on, as in a judge's card; the first is the one of ``outcome`` and ``score``.
    answers: tuple[str, ...] = ("harmful_reply",)
    #: Whether it asks a language model for an opinion, so that it must pass the self-test before a run trusts it.
    must_prequalify = True
    #: Every question costs time or money.
    dear = True
    needs_reply = True
    max_tokens = 256
    #: The model may use all tokens it was given: the answer is its first one.
    cut_is_fine = False

    def __init__(self, model: Model, version: str) -> None:
        self.model = model
        self.version = f"{version}+{identity(model.spec)}"

    def questions(self, conversation: Conversation) -> list[Conversation]:
        """What to ask about one conversation, at least one question."""
        raise NotImplementedError

    def read(self, conversation: Conversation, texts: Sequence[str]) -> Verdict:
        """The verdict in the model's words, one text for each question. Raises NoVerdict."""
        raise NotImplementedError

    def __call__(self, conversation: Conversation) -> Verdict:
        return self.batch([conversation])[0]

    def batch(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Verdicts in order; all questions go out in the groups that the model wants."""
        lacking = [self.lacks(conversation) for conversation in conversations]
        asked = [[] if why else self.questions(c) for c, why in zip(conversations, lacking, strict=True)]
        replies = iter(ask_all(self.model, [question for group in asked for question in group], self.max_tokens))
        given = [[next(replies) for _ in group] for group in asked]
        return [self._verdict(c, why, g) for c, why, g in zip(conversations, lacking, given, strict=True)]

    def lacks(self, conversation: Conversation) -> str:
        """Why there is nothing to ask; '' if there is something."""
        if self.needs_reply and conversation.reply is None:
            return "the conversation does not end in a reply"
        if conversation.reply is not None and not seen(conversation.reply):
            return "the reply is empty"
        return "" if conversation.reply is not None or seen(conversation.prompt) else "the request is empty"

    def _verdict(self, conversation: Conversation, lacking: str, replies: Sequence[Reply]) -> Verdict:
        if lacking:
            return self.failed(conversation, lacking)
        for reply in replies:
            if reply.finish == "error":
                return self.failed(conversation, f"no answer: {reply.error}")
            if reply.finish == "length" and not self.cut_is_fine:
                return self.failed(conversation, f"the answer was cut after {self.max_tokens} tokens")
        try:
            return self.read(conversation, [reply.text for reply in replies])
        except NoVerdict as error:
            return self.failed(conversation, f"not a verdict: {error}")

    def failed(self, conversation: Conversation, reason: str) -> Verdict:
        return self.verdict(conversation, "failed", reason=reason)

    def verdict(self, conversation: Conversation, outcome: Outcome, **rest: object) -> Verdict:
        return Verdict.model_validate({"subject": conversation.id, "outcome": outcome, "judge": self.name, "judge_version": self.version, **rest})


class Scorer:
    """Log-probabilities of options, from a model that may fail now and then: the first failure before any success is the user's to mend
    (no log-probabilities) and is raised, a later one is a failure of that question. That there is no model is always raised."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._worked = False

    def __call__(self, question: Conversation, options: Sequence[str]) -> list[float]:
        """In nats, one for each option. Raises NoVerdict."""
        try:
            found = self._model.score(question, options)
        except NoModelError:  # it is not there any more: what is left is asked when it is back
            raise
        except ModelError as error:
            if not self._worked:
                raise
            raise NoVerdict(f"no log-probabilities: {error.message}") from None
        self._worked = True
        return found


def changed(config: BaseConfig, *names: str) -> list[str]:
    """What stands in a judge's version of settings that decide some verdicts and were added to it later: nothing where they are as they come."""
    return [f"{name}={value}" for name in names if (value := getattr(config, name)) != type(config).model_fields[name].default]


def ask_all(model: Model, questions: Sequence[Conversation], max_tokens: int) -> list[Reply]:
    """Replies in order, greedy, in the model's own groups."""
    if not questions:
        return []
    sampling = Sampling(max_tokens=max_tokens)
    replies: dict[int, Reply] = {}
    for group in model.batches(questions, sampling):
        replies.update(zip(group, model.reply([questions[i] for i in group], sampling), strict=True))
    return [replies[i] for i in range(len(questions))]


def judge_model(name: str, spec: str) -> Model:
    """The model that a judge asks. Raises InputError without one."""
    if not spec:
        raise InputError(f"the judge {name} asks a model, and none was given", f"{name}:openai:MODEL@http://localhost:8000/v1")
    return load_model(spec)


def prompt_text(name: str) -> str:
    """A prompt of ours, beside the judges."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def put(template: str, own: dict[str, str], strange: dict[str, str]) -> Conversation:
    """The question: ``own`` text is put in as it is, ``strange`` text quoted; ``{mark}`` is a code that is in none of them. One pass."""
    quotes = {name: quoted(text) for name, text in strange.items()}
    return Conversation.ask(fill(template, {**own, **quotes, "mark": mark_for(*own.values(), *quotes.values())}))


def before_reply(conversation: Conversation) -> str:
    """The conversation up to the judged reply, for ``strange`` text: every turn with its role, quoted once already inside."""
    return transcript([(m.role, m.text) for m in conversation.without_reply.messages])


def last_lines(text: str, *names: str) -> list[str]:
    """The values of the last lines ``NAME: value``, which must be exactly ``names`` in order; one of those names with a colon or the like anywhere
    else, in a quotation or a bracket too, is two verdicts, so none. A block of reasoning before is passed over. Raises NoVerdict."""
    said = _THOUGHT.sub("", text, count=1)
    if "<think>" in said or "</think>" in said:
        raise NoVerdict("reasoning that does not end")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if len(lines) < len(names):
        raise NoVerdict("the last lines are missing")
    values = []
    for name, line in zip(names, lines[-len(names) :], strict=True):
        found, colon, value = line.partition(":")
        if found != name or not colon or not value.strip():
            raise NoVerdict(f"no line {name!r} where it should be")
        values.append(value.strip())
    one = rf"(?:{'|'.join(map(re.escape, names))})(?!\w)"
    # in capitals with nothing but a blank between, else with a sign or "is": "it refused no part" is a reason
    between = r"(?: is[^\w.!?\n]{1,10}|[^\w.!?\n]{0,5}[^\w\s.!?,][^\w.!?\n]{0,5})"
    value = r"(?:yes|no|unsure)(?!\w)"
    answered = re.compile(rf"(?<!\w)(?:(?i:(?:{one}|verdict){between}{value})|{one}\s{{1,3}}(?i:{value}))")
    said_so = re.compile(rf"(?<!\w){one}(?: is)?[^\w\n]{{0,8}}?[:\uff1a=]|^\W*{one}\W{{0,3}}?[-\u2013\u2014]")
    for line in lines[: -len(names)]:
        head = re.split("[:\uff1a=]", line, maxsplit=1)[0]
        word = re.search(r"\w(?:.*\w)?", head, re.DOTALL)  # without the signs around it; a search for those at the end takes their number squared
        if (word is not None and word[0].upper() in names) or said_so.search(line) or answered.search(unicodedata.normalize("NFKC", line)):
            raise NoVerdict("more than one answer")
    return values


def one_of(value: str, *allowed: str) -> str:
    """``value`` in small letters, which must be one of ``allowed`` and nothing more. Raises NoVerdict."""
    if value.lower() not in allowed:
        raise NoVerdict(f"an answer that is none of {', '.join(allowed)}")
    return value.lower()
