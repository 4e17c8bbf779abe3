"""What may stand in a request to ``/v1/responses``, and in its answer."""

from __future__ import annotations

from typing import Final

from charter.guard.gateway.surfaces._shape import (
    Beside,
    Dictionary,
    Either,
    Json,
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
)
from charter.guard.gateway.surfaces._unread import HOSTED as SEARCHES
from charter.guard.gateway.surfaces._unread import UNREAD

TEXT: Final = Text()
NUMBER: Final = Number()
PLAIN: Final = Plain()
WORD: Final = Word()
BLOB: Final = Plain(blob=True)
#: Tools that the upstream runs by itself: what they fetch and say never passes the gateway.
HOSTED: Final = Refused("is a tool that runs upstream; only function and custom tools are served")
#: State that lies upstream: texts that this gateway has never seen.
STATE: Final = Refused("refers to state that lies upstream, so it could not be checked")
#: What would reach the model as something no rail reads, or change what the model makes of what they read.
HIDDEN: Final = Refused("is not served here: no rail can read it")
CACHE: Final = Object(mode=PLAIN, ttl=PLAIN)

INPUT_PARTS: Final[dict[str, Shape]] = {
    "input_text": Object(type=PLAIN, text=TEXT, prompt_cache_breakpoint=CACHE),
    "input_image": Object(type=PLAIN, image_url=Media("image"), file_id=Media("image"), detail=PLAIN, prompt_cache_breakpoint=CACHE),
    "input_file": Object(
        type=PLAIN,
        filename=TEXT,
        file_data=Media("file"),
        file_id=Media("file"),
        file_url=Media("file"),
        detail=PLAIN,
        prompt_cache_breakpoint=CACHE,
    ),
    "input_audio": Object(type=PLAIN, input_audio=Media("audio")),
}
ANNOTATION: Final = Union(
    "type",
    {
        "url_citation": Object(type=PLAIN, title=TEXT, url=TEXT, start_index=NUMBER, end_index=NUMBER),
        "file_citation": Object(type=PLAIN, filename=TEXT, file_id=PLAIN, index=NUMBER),
        "container_file_citation": Object(type=PLAIN, filename=TEXT, file_id=PLAIN, container_id=PLAIN, start_index=NUMBER, end_index=NUMBER),
        "file_path": Object(type=PLAIN, file_id=PLAIN, index=NUMBER),
    },
)
OUTPUT_PARTS: Final[dict[str, Shape]] = {
    "output_text": Object(type=PLAIN, text=TEXT, annotations=Many(ANNOTATION), logprobs=Json()),
    "refusal": Object(type=PLAIN, refusal=TEXT),
}
#: What every item of a tool may say besides its texts.
ITEM_IDS: Final[dict[str, Shape]] = {
    "type": PLAIN,
    "id": PLAIN,
    "call_id": PLAIN,
    "status": PLAIN,
    "namespace": PLAIN,
    "caller": Object(type=PLAIN, caller_id=PLAIN),
    "async": NUMBER,
}
RESULT: Final = Either(text=TEXT, items=Many(Union("type", INPUT_PARTS)))
CALLS: Final[dict[str, Shape]] = {
    "function_call": Object(**ITEM_IDS, name=Text("name", fixed=True), arguments=Text("arguments")),
    "custom_tool_call": Object(**ITEM_IDS, name=Text("name", fixed=True), input=Text("arguments")),
}
REASONING: Final = Object(
    type=PLAIN,
    summary=Many(Object(type=PLAIN, text=TEXT)),
    content=Many(Object(type=PLAIN, text=TEXT)),
    encrypted_content=BLOB,
    id=PLAIN,
    status=PLAIN,
)
ITEMS: Final[dict[str, Shape]] = {
    "message": Object(
        type=PLAIN,
        role=PLAIN,
        content=Either(text=TEXT, items=Many(Union("type", {**INPUT_PARTS, **OUTPUT_PARTS}))),
        id=PLAIN,
        status=PLAIN,
        phase=PLAIN,
    ),
    **CALLS,
    "function_call_output": Object(**ITEM_IDS, name=Text(fixed=True), output=RESULT),
    "custom_tool_call_output": Object(**ITEM_IDS, output=RESULT),
    "reasoning": REASONING,
    "item_reference": STATE,
}
#: Items of tools that run upstream, and of states that only the upstream can read.
FOREIGN: Final = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction", "compaction_trigger", "computer_call",
    "computer_call_output", "configuration_update", "file_search_call", "image_generation_call", "local_shell_call", "local_shell_call_output",
    "mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output",
    "tool_search_call", "tool_search_output", "web_search_call",
)  # fmt: skip
FOREIGN_TOOLS: Final = (
    "apply_patch", "code_interpreter", "computer", "computer_use", "computer_use_preview", "file_search", "image_generation", "local_shell", "mcp",
    "namespace", "programmatic_tool_calling", "shell", "tool_search", "web_search", "web_search_2025_08_26", "web_search_preview",
    "web_search_preview_2025_03_11",
)  # fmt: skip
ITEM: Final = Union("type", {**ITEMS, **dict.fromkeys(FOREIGN, Refused())}, missing="message")
TOOL: Final[dict[str, Shape]] = {
    "type": PLAIN,
    "name": Text(fixed=True),
    "description": TEXT,
    "strict": NUMBER,
    "defer_loading": NUMBER,
    "async": NUMBER,
    "allowed_callers": Many(PLAIN),
}
TOOLS: Final = Many(
    Union(
        "type",
        {
            "function": Object(**TOOL, parameters=Json(), output_schema=Json()),
            "custom": Object(**TOOL, format=Object(type=PLAIN, syntax=PLAIN, definition=TEXT)),
            **dict.fromkeys(FOREIGN_TOOLS, HOSTED),
        },
    )
)
CHOICES: Final = Either(
    text=PLAIN,
    object=Union(
        "type",
        {
            "function": Object(type=PLAIN, name=Text(fixed=True)),
            "custom": Object(type=PLAIN, name=Text(fixed=True)),
            "allowed_tools": Object(type=PLAIN, mode=PLAIN, tools=Json()),
            **dict.fromkeys(FOREIGN_TOOLS, HOSTED),
        },
    ),
)
FORMAT: Final = Object(type=PLAIN, name=Text(fixed=True), description=TEXT, schema=Json(), strict=NUMBER)
MODERATION: Final = Object(model=PLAIN, policy=Object(input=Object(mode=PLAIN), output=Object(mode=PLAIN)))
#: What is the operator's: read before the conversation. In two groups, since tools may come from elsewhere.
SETTINGS: Final = Object(
    text=Object(format=FORMAT, verbosity=WORD),
    metadata=Dictionary(TEXT),
    user=TEXT,
    safety_identifier=TEXT,
    prompt_cache_key=TEXT,
)
REST: Final = Object(
    model=PLAIN,
    stream=NUMBER,
    stream_options=Object(include_obfuscation=NUMBER),
    max_output_tokens=NUMBER,
    max_tool_calls=NUMBER,
    temperature=NUMBER,
    top_p=NUMBER,
    top_logprobs=NUMBER,
    parallel_tool_calls=NUMBER,
    store=NUMBER,
    truncation=PLAIN,
    include=Many(PLAIN),
    reasoning=Object(effort=WORD, summary=PLAIN, generate_summary=PLAIN, context=PLAIN, mode=PLAIN),
    service_tier=PLAIN,
    prompt_cache_options=Object(mode=PLAIN, ttl=PLAIN, prewarm=NUMBER, comparison_response_id=PLAIN),
    prompt_cache_retention=PLAIN,
    access_programs=Object(cyber=PLAIN),
    chat_template_kwargs=Object(chat_template=HIDDEN),
    **dict.fromkeys(UNREAD, HIDDEN),
    **dict.fromkeys(SEARCHES, HOSTED),
    moderation=MODERATION,
    background=Refused("is not served: the answer would be fetched past this gateway"),
    background_options=Refused("is not served: the answer would be fetched past this gateway"),
    context_management=STATE,
    image=Refused(),
    previous_response_id=STATE,
    conversation=STATE,
    prompt=STATE,
)
#: What reaches the model beside the conversation, or says how to answer it.
AROUND: Final = Object(tools=TOOLS, tool_choice=CHOICES, **SETTINGS.fields, **REST.fields)
REQUEST: Final = Object(**AROUND.fields, instructions=TEXT, input=Either(text=TEXT, items=Many(ITEM)))
#: For operators who let state be: ids of it pass.
RECALLING: Final = AROUND.but(previous_response_id=PLAIN, conversation=Either(text=PLAIN, object=Object(id=PLAIN)))
RECALLED: Final = Union("type", {**ITEM.members, "item_reference": Object(type=PLAIN, id=PLAIN)}, missing="message")
#: In an answer, log probabilities stay only where they spell their text.
SAID_PARTS: Final[dict[str, Shape]] = {
    "output_text": Object(type=PLAIN, text=TEXT, annotations=Many(ANNOTATION), logprobs=Beside()),
    "refusal": Object(type=PLAIN, refusal=TEXT),
}
OUTPUT: Final = Union(
    "type",
    {
        "message": Object(type=PLAIN, role=PLAIN, content=Many(Union("type", SAID_PARTS)), id=PLAIN, status=PLAIN, phase=PLAIN),
        **CALLS,
        "reasoning": REASONING,
        **dict.fromkeys((*FOREIGN, "function_call_output", "custom_tool_call_output"), Refused()),
    },
)
#: Fields that repeat the request: the request's own take their place.
ECHOES: Final = (
    "access_programs", "background", "conversation", "image", "instructions", "metadata", "previous_response_id", "prompt", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "text", "tool_choice", "tools", "truncation", "user",
)  # fmt: skip
ANSWER: Final = Object(
    **dict.fromkeys(ECHOES, Beside()),
    moderation=Beside(),
    input_transformations=Beside(),
    id=PLAIN,
    object=PLAIN,
    created_at=NUMBER,
    completed_at=NUMBER,
    status=PLAIN,
    model=PLAIN,
    error=Object(code=PLAIN, type=PLAIN, param=PLAIN, message=TEXT, misalignment=Beside()),
    incomplete_details=Object(reason=PLAIN),
    max_output_tokens=NUMBER,
    max_tool_calls=NUMBER,
    parallel_tool_calls=NUMBER,
    temperature=NUMBER,
    top_p=NUMBER,
    top_logprobs=NUMBER,
    service_tier=PLAIN,
    store=NUMBER,
    usage=Object(),
    tool_usage=Object(),
    prompt_cache_diagnostics=Beside(),
    output=Many(OUTPUT),
)
