"""Hours of steady use: memory, connections and latency must not creep up.

``locust -f loadtests/endurance.py --host URL``, or ``ops load endurance``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("endurance")
