"""The shelf of attacks: one file each, found by name."""
