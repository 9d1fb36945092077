"""Sudden rises, and how long it takes until the targets hold again.

``locust -f loadtests/spike.py --host URL``, or ``ops load spike``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("spike")
