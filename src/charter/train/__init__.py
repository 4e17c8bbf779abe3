"""Rows to weights: trainers (one file each) over TRL, rows to trainer columns, checkpoints. torch and trl are imported inside functions only."""
