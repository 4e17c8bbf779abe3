"""Shelf: one data set per file."""
