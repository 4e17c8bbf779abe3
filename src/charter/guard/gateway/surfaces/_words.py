"""Words of the protocols themselves: names of fields, and the values that some of them are picked from. They say nothing that somebody wrote, and
read as text they would make a tool's description a long list of ``type`` and ``string``. Only what is exactly here is left out; all else is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SCHEMA = """
    $comment $defs $id $ref $schema additionalItems additionalProperties allOf anyOf const contains contentEncoding contentMediaType default
    definitions dependencies dependentRequired dependentSchemas deprecated description else enum examples exclusiveMaximum exclusiveMinimum format
    if items maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf not nullable oneOf pattern
    patternProperties prefixItems properties propertyNames readOnly required then title type uniqueItems unevaluatedItems unevaluatedProperties
    writeOnly
"""
_FIELDS = """
    allowed_tools annotations approximate arguments audio cache_control city content country custom data definition detail encoding_format
    expires_at file filename function function_call functions grammar id image_url input input_audio input_schema json json_object json_schema
    language logit_bias logprobs max_completion_tokens max_output_tokens max_tokens messages metadata modalities mode model moderation n name
    parallel_tool_calls parameters prediction presence_penalty frequency_penalty prompt_cache_breakpoint prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning reasoning_content refusal region response_format role safety_identifier schema search_context_size seed
    service_tier stop store stream stream_options effort reasoning_effort include_usage include_obfuscation strict syntax temperature text
    timezone tool_call_id tool_calls tool_choice tools top_logprobs top_p transcript ttl url url_citation user user_location verbosity video_url
    voice web_search_options best_of echo suffix index start_index end_index
"""
#: Settings that model servers have beside the published ones: sampling, decoding, limits.
_SERVERS = """
    add_generation_prompt allowed_token_ids bad_words cache_prompt chat_template_kwargs continue_final_message documents enable_thinking thinking
    guided_choice guided_decoding_backend guided_grammar guided_json guided_regex ignore_eos include_stop_str_in_output keep_alive length_penalty
    min_p min_tokens mirostat mirostat_eta mirostat_tau num_ctx num_predict options priority prompt_logprobs repeat_last_n repeat_penalty
    repetition_penalty request_id return_token_ids return_tokens_as_token_ids skip_special_tokens spaces_between_special_tokens stop_token_ids
    structured_outputs think tfs_z top_a top_k typical_p truncate_prompt_tokens use_beam_search
"""
#: Names of fields.
NAMES: Final = frozenset((_SCHEMA + _FIELDS + _SERVERS).split())
_LEVELS: Final = frozenset(("auto", "high", "low", "medium", "none", "required", "any"))
#: What a field of this name is picked from.
VALUES: Final[Mapping[str, frozenset[str]]] = {
    "type": frozenset(
        """
        allowed_tools approximate array audio boolean content custom ephemeral file_citation function grammar image_url input_audio integer
        json_object json_schema null number object output_text reasoning_text string structural_tag summary_text text thinking tool url_citation
        """.split()
    ),
    "format": frozenset(
        """
        aac binary byte date date-time double duration email flac float hostname int32 int64 ipv4 ipv6 json-pointer mp3 opus pcm16 regex time uri
        uri-reference uuid wav
        """.split()
    ),
    "$schema": frozenset(f"http://json-schema.org/draft-0{n}/schema{end}" for n in (4, 6, 7) for end in ("", "#"))
    | {f"https://json-schema.org/draft/{year}/schema" for year in ("2019-09", "2020-12")},
    "modalities": frozenset(("audio", "text")),
    "syntax": frozenset(("lark", "regex")),
    "ttl": frozenset(("5m", "1h")),
    **dict.fromkeys(("detail", "effort", "function_call", "mode", "search_context_size", "tool_choice"), _LEVELS),
}
