"""What may stand in a request to ``/v1/messages``, and in its answer."""

from __future__ import annotations

from typing import Final

from charter.guard.gateway.surfaces._shape import (
    Beside,
    Either,
    Json,
    Known,
    Many,
    Media,
    Number,
    Object,
    Plain,
    Refused,
    Shape,
    Text,
    Union,
    Word,
    Words,
)
from charter.guard.gateway.surfaces._unread import HOSTED as SEARCHES
from charter.guard.gateway.surfaces._unread import UNREAD

TEXT: Final = Text()
NUMBER: Final = Number()
PLAIN: Final = Plain()
WORD: Final = Word()
BLOB: Final = Plain(blob=True)
HOSTED: Final = Refused("is a tool that runs upstream; only tools that the client runs are served")
#: What would reach the model as something no rail reads, or change what the model makes of what they read.
HIDDEN: Final = Refused("is not served here: no rail can read it")
CACHE: Final = Object(type=PLAIN, ttl=PLAIN)
CITATION: Final = Union(
    "type",
    {
        kind: Object(
            type=PLAIN,
            cited_text=TEXT,
            document_title=TEXT,
            title=TEXT,
            source=TEXT,
            url=TEXT,
            document_index=NUMBER,
            search_result_index=NUMBER,
            start_char_index=NUMBER,
            end_char_index=NUMBER,
            start_page_number=NUMBER,
            end_page_number=NUMBER,
            start_block_index=NUMBER,
            end_block_index=NUMBER,
            encrypted_index=BLOB,
            file_id=PLAIN,
        )
        for kind in ("char_location", "page_location", "content_block_location", "search_result_location", "web_search_result_location")
    },
)
TEXT_BLOCK: Final = Object(type=PLAIN, text=TEXT, citations=Many(CITATION), cache_control=CACHE)


def _source(kind: str, media: Media) -> dict[str, Shape]:
    return {
        "base64": Object(type=PLAIN, media_type=PLAIN, data=media),
        "url": Object(type=PLAIN, url=media),
        "file": Object(type=PLAIN, file_id=media),
    }


IMAGE: Final = Object(
    type=PLAIN, source=Union("type", _source("image", Media("image"))), transformations=Object(oversized_image=PLAIN), cache_control=CACHE
)
DOCUMENT: Final = Object(
    type=PLAIN,
    title=TEXT,
    context=TEXT,
    source=Union(
        "type",
        {
            **_source("file", Media("file")),
            "text": Object(type=PLAIN, media_type=PLAIN, data=TEXT),
            "content": Object(type=PLAIN, content=Either(text=TEXT, items=Many(Union("type", {"text": TEXT_BLOCK, "image": IMAGE})))),
        },
    ),
    citations=Object(enabled=NUMBER),
    cache_control=CACHE,
)
SEARCH_RESULT: Final = Object(type=PLAIN, title=TEXT, source=TEXT, content=Many(TEXT_BLOCK), citations=Object(enabled=NUMBER), cache_control=CACHE)
TOOL_USE: Final = Object(
    type=PLAIN,
    name=Text("name", fixed=True),
    input=Json("arguments", whole=True),
    id=PLAIN,
    caller=Object(type=PLAIN, tool_id=PLAIN),
    toolset_name=PLAIN,
    cache_control=CACHE,
)
RESULTS: Final[dict[str, Shape]] = {
    "text": TEXT_BLOCK,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "tool_reference": Object(type=PLAIN, tool_name=Text(fixed=True), cache_control=CACHE),
}
TOOL_RESULT: Final = Object(
    type=PLAIN,
    content=Either(text=TEXT, items=Many(Union("type", {**RESULTS, "browser_state": Refused()}))),
    tool_use_id=PLAIN,
    is_error=NUMBER,
    toolset_name=PLAIN,
    cache_control=CACHE,
)
THINKING: Final[dict[str, Shape]] = {
    "thinking": Object(type=PLAIN, thinking=TEXT, signature=BLOB),
    "redacted_thinking": Object(type=PLAIN, data=BLOB),
}
#: What tools that run upstream did.
FOREIGN: Final = (
    "bash_code_execution_tool_result", "code_execution_tool_result", "container_upload", "server_tool_use", "text_editor_code_execution_tool_result",
    "tool_search_tool_result", "web_fetch_tool_result", "web_search_tool_result",
)  # fmt: skip
BLOCK: Final = Union(
    "type",
    {
        "text": TEXT_BLOCK,
        "image": IMAGE,
        "document": DOCUMENT,
        "search_result": SEARCH_RESULT,
        "tool_use": TOOL_USE,
        "tool_result": TOOL_RESULT,
        **THINKING,
        **dict.fromkeys(FOREIGN, HOSTED),
    },
)
MESSAGES: Final = Many(
    Union(
        "role",
        {
            "user": Object(role=PLAIN, content=Either(text=TEXT, items=Many(BLOCK))),
            "assistant": Object(role=PLAIN, content=Either(text=TEXT, items=Many(BLOCK))),
            "system": Object(role=PLAIN, content=Either(text=TEXT, items=Many(BLOCK))),
        },
    )
)
#: What a message has besides its content.
BESIDE: Final = Object(role=PLAIN)
SYSTEM: Final = Either(text=TEXT, items=Many(Union("type", {"text": TEXT_BLOCK})))
TOOL: Final = Object(
    type=PLAIN,
    name=Text(fixed=True),
    description=TEXT,
    input_schema=Json(),
    input_examples=Json(),
    cache_control=CACHE,
    strict=NUMBER,
    defer_loading=NUMBER,
    eager_input_streaming=NUMBER,
    allowed_callers=Many(PLAIN),
    max_characters=NUMBER,
)
#: Tools whose description the upstream knows, and that the client runs.
CLIENT_TOOLS: Final = ("bash_20250124", "memory_20250818", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728")
HOSTED_TOOLS: Final = (
    "browser_toolset_20260801", "code_execution_20250522", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521",
    "computer_toolset_20260801", "tool_search_tool_bm25", "tool_search_tool_bm25_20251119", "tool_search_tool_regex",
    "tool_search_tool_regex_20251119", "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318",
    "web_search_20250305", "web_search_20260209", "web_search_20260318",
)  # fmt: skip
TOOLS: Final = Many(Union("type", {"custom": TOOL, **dict.fromkeys(CLIENT_TOOLS, TOOL), **dict.fromkeys(HOSTED_TOOLS, HOSTED)}, missing="custom"))
SETTINGS: Final = Object(
    metadata=Object(user_id=TEXT),
    stop_sequences=Many(TEXT),
    output_config=Object(effort=WORD, format=Object(type=PLAIN, schema=Json())),
    tool_choice=Object(type=PLAIN, name=Text(fixed=True), disable_parallel_tool_use=NUMBER),
)
REST: Final = Object(
    model=PLAIN,
    stream=NUMBER,
    max_tokens=NUMBER,
    temperature=NUMBER,
    top_k=NUMBER,
    top_p=NUMBER,
    thinking=Object(type=PLAIN, budget_tokens=NUMBER, display=PLAIN),
    cache_control=CACHE,
    service_tier=PLAIN,
    speed=PLAIN,
    inference_geo=PLAIN,
    user_profile_id=PLAIN,
    workspace_id=PLAIN,
    diagnostics=Object(previous_message_id=PLAIN),
    context_management=Words(),
    container=Refused("refers to state that lies upstream, so it could not be checked"),
    mcp_servers=HOSTED,
    chat_template_kwargs=Object(chat_template=HIDDEN),
    **dict.fromkeys(UNREAD, HIDDEN),
    **dict.fromkeys(SEARCHES, HOSTED),
)
#: What reaches the model beside the conversation, or says how to answer it.
AROUND: Final = Object(tools=TOOLS, **SETTINGS.fields, **REST.fields)
REQUEST: Final = Object(**AROUND.fields, system=SYSTEM, messages=MESSAGES)
CONTENT: Final = Union("type", {"text": TEXT_BLOCK, **THINKING, "tool_use": TOOL_USE, **dict.fromkeys(FOREIGN, HOSTED)})
USAGE: Final = Object(
    input_tokens=NUMBER,
    output_tokens=NUMBER,
    cache_creation_input_tokens=NUMBER,
    cache_read_input_tokens=NUMBER,
    service_tier=PLAIN,
    inference_geo=PLAIN,
    speed=PLAIN,
    cache_creation=Object(),
    output_tokens_details=Object(),
    server_tool_use=Object(),
    iterations=Many(Object(type=Known(frozenset({"message", "compaction", "advisor_message"})))),
)
#: Ways in which the server shortens a conversation.
EDITS: Final = frozenset({"clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112"})
END: Final = Object(
    stop_reason=PLAIN,
    stop_sequence=Beside(),
    stop_details=Object(type=PLAIN, category=PLAIN, explanation=TEXT),
    container=Beside(),
)
ANSWER: Final = Object(
    id=PLAIN,
    type=PLAIN,
    role=PLAIN,
    model=PLAIN,
    usage=USAGE,
    diagnostics=Beside(),
    context_management=Object(applied_edits=Many(Object(type=Known(EDITS)))),  # a list of any names could be a sentence
    **END.fields,
    content=Many(CONTENT),
)
