"""The whole conversation counts: what a rail finds in a message it finds with more messages after it, in other roles, and under a disguise."""

from __future__ import annotations

import pytest

from charter.core.registry import find
from charter.core.rows import Conversation, Message, Verdict
from charter.guard.rails import toxicity
from charter.guard.rails._scores import ClassifierScores
from charter.guard.rails._texts import ROLES

GO = Message(role="user", content="Thanks, go on.")
BAD = "Tell me the best online casino."
LIST = {"deny": {"gambling": ["online casino"]}}
LOOP = "I love roses. " * 100


def rail(name, **settings):
    module = find("rails", name)
    return module.build(module.Config.model_validate(settings))


def talk(*messages):
    return Conversation(messages=tuple(m if isinstance(m, Message) else Message(role=m[0], content=m[1]) for m in messages))


def places(text):
    """``text`` where it is not the last message of a user."""
    user, go = ("user", text), ("user", GO.content)
    return {
        "before another": talk(user, go),
        "before an answer": talk(user, ("assistant", "Well."), go),
        "tool": talk(("tool", text), go),
        "tool, last": talk(go, ("tool", text)),
        "system": talk(("system", text), go),
        "around": talk(Message(role="system", content=text, around=True), go),
        "prefill": talk(go, ("assistant", text)),
    }


@pytest.mark.parametrize("place", places(""))
def test_denied_topics_and_loops_are_found_wherever_they_stand(place):
    topic, repetition = rail("topic", **LIST), rail("repetition", roles=ROLES)
    assert [topic(places(text)[place], "input").score for text in (BAD, "Which roses?")] == [1.0, 0.0]
    assert [repetition(places(text)[place], "input").score >= 0.9 for text in (LOOP, "Roses?")] == [True, False]
    own = [rail(name, roles=["user"], **settings) for name, settings in (("topic", LIST), ("repetition", {}))]
    anothers = not place.startswith("before")
    assert [r(places(text)[place], "input").outcome == "safe" for r, text in zip(own, (BAD, LOOP), strict=True)] == [anothers] * 2


def test_topics_are_found_under_a_disguise_and_in_pieces():
    topic = rail("topic", **LIST)
    for text in ("Best onl\u200bine casino?", "Best online c\u0430sino?", "Best 0nline c4s1no?"):
        assert topic(Conversation.ask(text), "input").score == 1.0, text
        assert topic(Conversation.ask("Tell me.").with_reply(text), "output").score == 1.0, text
    pieces = talk(("user", "Remember online."), ("assistant", "Yes."), ("user", "Now the best casino?"))
    assert topic(pieces, "input").score == 1.0
    assert rail("topic", **LIST, joined_chars=0)(pieces, "input").score == 0.0


def test_a_topic_is_not_found_in_what_forbids_it_nor_in_words_far_apart_nor_in_old_answers():
    topic = rail("topic", **LIST)
    honest = [
        talk(("system", "Sell roses. Never speak of an online casino."), GO),
        talk(("tool", f"The shop is online. {'Roses grow well. ' * 300} The casino of Monte Carlo has a garden."), GO),
        talk(("user", "What can I not ask?"), ("assistant", "I cannot speak of an online casino."), GO),
    ]
    assert [topic(one, "input").score for one in honest] == [0.0] * 3


def test_every_message_of_a_user_that_is_long_enough_must_be_about_an_allowed_topic():
    topic = rail("topic", allow={"gardens": ["roses", "garden"]})
    off, on = ("user", "Which engine suits a small car?"), ("user", "Which roses suit a small garden?")
    assert topic(talk(off, ("assistant", "Roses."), on), "input").label == "off topic"
    assert topic(talk(off, ("user", "Go on.")), "input").label == "off topic"
    assert (
        topic(talk(("system", "Be brief and kind to everybody."), on, ("tool", "Engines and cars of all makes."), ("user", "Thanks!")), "input").score
        == 0
    )
    assert topic(Conversation.ask("Roses?").with_reply("Engines are made of steel."), "output").label == "off topic"
    with pytest.raises(ValueError, match="roles must name user"):
        rail("topic", allow={"gardens": ["roses"]}, roles=["tool"])


def test_what_is_said_of_forever_is_no_order_and_data_of_tools_no_loop():
    repetition = rail("repetition")
    for message in (
        ("tool", "They say that diamonds are forever."),
        ("system", "Print nothing for ever."),
        ("user", "I say this will not take forever."),
    ):
        assert repetition(talk(message, ("assistant", "Yes."), GO), "input").score == 0.0, message
    assert repetition(talk(("tool", "[" + "[0, 0, 0, 0], " * 200 + "]"), ("assistant", "Yes."), GO), "input").score == 0.0
    assert repetition(Conversation.ask("Print the letter a forever"), "input").score == 1.0


def test_words_of_a_denied_phrase_stand_together():
    topic = rail("topic", **LIST)
    far = "What is open online?" + " Roses are pruned in March." * 20 + " The casino has closed."
    assert topic(Conversation.ask(far), "input").score == 0.0
    assert topic(Conversation.ask(far + " Or is it an online casino?"), "input").score == 1.0


def test_going_on_is_no_loop_but_the_same_message_sent_in_a_row_is():
    repetition = rail("repetition")
    asked = [message for n in range(60) for message in (("user", "Please go on."), ("assistant", f"Chapter {n}."))]
    assert repetition(talk(*asked, GO), "input").score == 0.0
    assert repetition(talk(*[("user", "Please go on.")] * 60), "input").score > 0.9
    assert repetition(talk(("user", "Repeat the word poem"), ("user", "forever.")), "input").score == 1.0
    assert repetition(talk(("system", "Never repeat a word forever."), GO), "input").score == 0.0


def test_every_message_of_a_user_is_in_an_allowed_language_and_so_is_its_end():
    pytest.importorskip("py3langid")
    german, english = "Wie schneide ich meine Rosen im Frühjahr richtig zurück?", "How do I prune my roses in spring?"
    language, everybodys = rail("language"), rail("language", roles=["user", "system", "tool"])
    assert language(talk(("user", german), GO), "input").label == "de"
    assert language(talk(("user", english * 300 + german * 20)), "input").label == "de"
    assert language(talk(("system", german), ("user", english), ("tool", german)), "input").score < 0.5, "an operator may write another language"
    assert [everybodys(talk((role, german), GO), "input").label for role in ("system", "tool")] == ["de", "de"]
    assert language(talk(*[message for _ in range(9) for message in (("user", "Ok"), ("assistant", "Ja"))]), "input").score == 0.0


class Fixed:
    """0.95 for a text with ``SLUR``, 0.7 with ``slur``."""

    name, version = "classifier", "9"

    def batch(self, conversations):
        scores = [0.95 if "SLUR" in c.prompt else 0.7 if "slur" in c.prompt else 0.1 for c in conversations]
        pairs = zip(conversations, scores, strict=True)
        return [Verdict(subject=c.id, outcome="safe", score=s, scores={"toxicity": s}, judge="c", judge_version="9") for c, s in pairs]


@pytest.mark.parametrize("place", places(""))
def test_toxic_words_count_in_every_role_and_others_from_a_score_of_their_own(place):
    shelf = toxicity.ToxicityRail(toxicity.Config(), ClassifierScores(Fixed()))
    assert shelf(places("You SLUR!")[place], "input").score == 0.95
    assert shelf(places("You slur!")[place], "input").score == (0.7 if place.startswith("before") else 0.1)
    only = toxicity.ToxicityRail(toxicity.Config(roles=("user",)), ClassifierScores(Fixed()))
    assert only(places("You SLUR!")[place], "input").score == (0.95 if place.startswith("before") else 0.1)
    assert shelf(Conversation.ask("Hi").with_reply("You slur!"), "output").score == 0.7
    assert shelf(Conversation.ask(""), "input").score == 0.0
