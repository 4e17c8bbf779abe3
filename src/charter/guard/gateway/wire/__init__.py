"""Bytes to values and back: strict JSON, server-sent events, error bodies. Knows no endpoint."""
