"""Charters: what a model should and should not do, written down once. ``charter.policy.load.load_charter`` is the door."""
