"""Guarding a model in use: rails (one file each) and the engine that turns their verdicts into a decision. Fails closed."""
