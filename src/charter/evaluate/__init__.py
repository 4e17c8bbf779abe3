"""Measure a model's harm and over-refusal, compare two of them, and decide whether the new one may ship."""
