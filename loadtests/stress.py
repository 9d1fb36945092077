"""To the promised peak and past it, until it breaks.

``locust -f loadtests/stress.py --host URL``, or ``ops load stress``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("stress")
