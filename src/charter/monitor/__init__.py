"""Watching a model over time from rows alone: it calls no model."""
