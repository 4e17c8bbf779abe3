"""The shelf of benchmarks: one file each, found by name."""
