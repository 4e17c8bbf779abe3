"""End-to-end runs: the only place that wires rooms together."""
