"""Faults on a live stack, and the runbooks that end them: ``python -m benchmarks.runbooks``, or ``make runbooks``."""
