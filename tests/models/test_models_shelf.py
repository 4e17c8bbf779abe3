"""Every file on the models shelf keeps the contract; a new one is under test because it is there."""

from __future__ import annotations

import inspect

import pytest

from charter.core import registry
from charter.core.config import Config
from charter.core.shapes import Model
from charter.models import FORMS, load_model

NAMES = registry.names("models")


def test_the_shelf_is_not_empty_and_forms_name_only_what_is_there() -> None:
    assert {"scripted", "openai"} <= set(NAMES)
    named = {form.partition(":")[0] for form in FORMS if form[0].islower()}
    assert named <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_tells_what_it_is_and_what_it_does_not_cover(name: str) -> None:
    module = registry.find("models", name)
    first = (module.__doc__ or "").splitlines()[0]
    assert 20 < len(first) <= 150
    assert first.endswith((".", ":", "?"))
    assert len(module.NOT_COVERED) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_has_a_closed_config_and_a_build(name: str) -> None:
    module = registry.find("models", name)
    assert issubclass(module.Config, Config)
    assert module.Config.model_config["extra"] == "forbid"
    parameters = inspect.signature(module.build).parameters
    assert next(iter(parameters)) == "argument"
    assert any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


@pytest.mark.parametrize("spec", ["scripted", "openai:m@http://127.0.0.1:1/v1"])
def test_a_built_model_has_the_shape(spec: str) -> None:
    model = load_model(spec)
    assert isinstance(model, Model)
    assert model.spec == spec
