"""Shelf: one training method per file."""
