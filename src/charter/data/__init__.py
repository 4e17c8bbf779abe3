"""Data sets: where they come from (``sources/``), how they are read, split by topic, cleaned and mixed. Loads rows; calls no model."""
