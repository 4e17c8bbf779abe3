"""The gateway: an OpenAI- and Anthropic-compatible server that stands in front of any model server and lets nothing through unchecked."""
