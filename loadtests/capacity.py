"""The highest rate at which every target holds.

``locust -f loadtests/capacity.py --host URL``, or ``ops load capacity``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("capacity")
