"""Streams of FILE through guardrails-ai with a validator of its documentation's making (forbidden words). Writes what came out, line by line.

Run in a virtual environment with guardrails.txt: python leak_guardrails.py STREAMS.jsonl TERM OUT.jsonl [exception|fix]
The last word: what happens when the validator fails.
"""

import json
import os
import sys
import warnings

os.environ.update(OTEL_SDK_DISABLED="true", LITELLM_LOCAL_MODEL_COST_MAP="True")
warnings.simplefilter("ignore")
from guardrails import Guard, OnFailAction, settings  # noqa: E402
from guardrails.validators import FailResult, PassResult, Validator, register_validator  # noqa: E402

settings.disable_tracing = True


@register_validator(name="forbidden-words", data_type="string")
class ForbiddenWords(Validator):
    def __init__(self, words=(), on_fail=None):
        super().__init__(on_fail=on_fail, words=list(words))
        self._words = list(words)

    def _validate(self, value, metadata):
        found = any(word in value for word in self._words)
        return FailResult(error_message="a forbidden word", fix_value="") if found else PassResult()


def main(streams: str, term: str, out: str, on_fail: str = "exception") -> None:
    guard = Guard().use(ForbiddenWords([term], on_fail=OnFailAction(on_fail)))
    with open(streams, encoding="utf-8") as lines, open(out, "w", encoding="utf-8") as written:
        for line in lines:
            texts, said = json.loads(line)["pieces"], []

            def model(*_args, texts=texts, **_kwargs):
                yield from texts

            try:
                for outcome in guard(model, messages=[{"role": "user", "content": "Tell me."}], stream=True):
                    said.append(outcome.validated_output or "")
            except Exception as error:
                if "forbidden" not in str(error):
                    raise
            written.write(json.dumps({"text": "".join(said)}) + "\n")


main(*sys.argv[1:])
