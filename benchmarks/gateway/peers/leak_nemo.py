"""Streams of FILE through NeMo Guardrails' regex output rail, streaming as its documentation configures it. Writes what came out, line by line.

Run in a virtual environment with nemo.txt: python leak_nemo.py STREAMS.jsonl TERM OUT.jsonl [--hold]      (--hold: stream_first: False)
"""

import asyncio
import json
import sys

from nemoguardrails import LLMRails, RailsConfig

CONFIG = """
models: []
rails:
  config:
    regex_detection:
      output:
        patterns: ["{term}"]
  output:
    flows: [regex check output]
    streaming: {{enabled: True, chunk_size: 200, context_size: 50, stream_first: {first}}}
"""


async def main(streams: str, term: str, out: str, *flags: str) -> None:
    rails = LLMRails(RailsConfig.from_content(yaml_content=CONFIG.format(term=term, first="--hold" not in flags)))
    with open(streams, encoding="utf-8") as lines, open(out, "w", encoding="utf-8") as written:
        for line in lines:
            said = []
            messages = [{"role": "user", "content": "Tell me."}]
            async for piece in rails.stream_async(messages=messages, generator=pieces(json.loads(line)["pieces"])):
                if isinstance(piece, str) and piece.startswith('{"error"'):
                    break
                said.append(piece)
            written.write(json.dumps({"text": "".join(said)}) + "\n")


async def pieces(texts):
    for text in texts:
        yield text


asyncio.run(main(*sys.argv[1:]))
