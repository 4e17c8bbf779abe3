"""Attack a model on purpose, and keep what got through as findings."""
