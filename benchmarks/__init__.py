"""Measurements: each prints a table, or JSON with --json. Run as ``python -m benchmarks.NAME``."""
