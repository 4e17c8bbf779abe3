"""Who labels preferences: the shipped judges by rule, the model itself, or any other model."""

from __future__ import annotations

from charter.core.rows import Comparison, Example
from charter.generate.preferences import PairJudge
from charter.judges import _pair_selftest, pairwise, rules_pairwise
from charter.models import load_model
from charter.policy.charter import Principle
from charter.recipes.context import Context


def pair_judge(context: Context, name: str) -> PairJudge:
    """``rules``, ``self`` or the spec of a model. Raises ModelError for a model that does not pass the self-test of pair judges."""
    if name == "rules":
        rules = rules_pairwise.build(rules_pairwise.Config())

        def by_rules(example: Example, a: str, b: str, principle: Principle) -> Comparison:
            return rules(example.conversation, a, b, principle.prefer, principle.id, harmful=example.harmful)

        return by_rules
    model = context.model if name == "self" else load_model(name)
    asked = pairwise.build(pairwise.Config(reasoning=context.recipe.generate.pair_reasoning), model)
    context.reporter.say(f"self-test of the pair judge {model.spec}: right on {_pair_selftest.require(asked, model.spec)}")

    def by_model(example: Example, a: str, b: str, principle: Principle) -> Comparison:
        return asked(example.conversation, a, b, principle.prefer, principle.id)

    return by_model
