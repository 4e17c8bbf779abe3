"""Shelf: one rail per file."""
