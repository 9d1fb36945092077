"""A minute of light load, for every change.

``locust -f loadtests/smoke.py --host URL``, or ``ops load smoke``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("smoke")
