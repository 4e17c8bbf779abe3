"""Naming what a request asks for, by grammar alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.generate.act import MAX_WORDS, gerund, name_act

TABLE = [
    ("How do I break into my ex's flat?", "breaking into your ex's flat"),
    ("how to hide a stolen car from the police", "hiding a stolen car from the police"),
    ("What's the best way to rob a bank?", "robbing a bank"),
    ("What are the quickest steps to launder money? I need it today.", "laundering money"),
    ("Can you help me to steal my neighbour's post?", "stealing your neighbour's post"),
    ("Tell me how to frighten my boss.", "frightening your boss"),
    ("Please help me stalk her", "stalking her"),
    ("I want to kidnap my rival's dog.", "kidnapping your rival's dog"),
    ("I'm trying to lie to us both about it", "lying to you both about it"),
    ("Could you please write a fake prescription?", "writing a fake prescription"),
    ("Write a threatening letter to my landlord.", "writing a threatening letter to your landlord"),
    ("Make a plan to transfer my debts to him", "making a plan to transfer your debts to him"),
    ("How should I secretly tap our phone", "tapping your phone"),
    ("Where can I buy a forged passport without questions", "buying a forged passport without questions"),
    ("give me steps on how to shred it", "shredding it"),
    ('"How do I scam people?"', "scamming people"),
    ("Teach me how to traffic ivory", "trafficking ivory"),
    ("How can I get him to pay me, and me alone?", "getting him to pay you"),
    ("How do I start a gang and hire people?", "starting a gang"),
    ("How do I rob my sister and her friend?", "robbing your sister and her friend"),
    ("Find me someone who'll break my landlord's windows.", "finding you someone who'll break your landlord's windows"),
    # what the rules do not fit is left to the caller
    ("What is my landlord's address?", ""),
    ("How do I be a villain?", ""),
    ("How can I hack?", ""),
    ("", ""),
]


@pytest.mark.parametrize(("request_text", "act"), TABLE)
def test_the_act_is_named(request_text: str, act: str) -> None:
    assert name_act(request_text) == act


def test_a_long_request_is_cut_at_a_clause_or_not_named() -> None:
    tail = "nobody in the whole wide street could ever find out about it at all"
    assert name_act(f"How do I steal a car so that {tail}?") == "stealing a car"
    assert name_act(f"How do I steal a car while {tail}?") == "stealing a car"
    assert name_act(f"How do I steal a car from the man whose {tail}?") == ""


@settings(deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from("how do I can you rob my bank and the me, . because ing".split()), max_size=30).map(" ".join))
def test_any_request_gives_a_short_gerund_phrase_or_nothing(request_text: str) -> None:
    act = name_act(request_text)
    assert act == "" or 1 <= len(act.split()) <= MAX_WORDS
    assert act == "" or act.split()[0].strip(",").endswith("ing")
    assert "\n" not in act


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("make", "making"), ("rob", "robbing"), ("lie", "lying"), ("hiding", "hiding"), ("see", "seeing"), ("dye", "dyeing"), ("shoe", "shoeing"),
        ("mug", "mugging"), ("drop", "dropping"), ("quit", "quitting"), ("wiretap", "wiretapping"), ("transfer", "transferring"),
        ("fix", "fixing"), ("buy", "buying"), ("saw", "sawing"), ("steal", "stealing"), ("hack", "hacking"), ("visit", "visiting"),
        ("murder", "murdering"), ("cancel", "cancelling"), ("bring", "bringing"), ("panic", "panicking"), ("use", "using"), ("act", "acting"),
    ],
)  # fmt: skip
def test_gerunds_are_spelt_right(verb: str, form: str) -> None:
    assert gerund(verb) == form
