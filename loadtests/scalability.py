"""Growth in steps, load and replicas alike.

``locust -f loadtests/scalability.py --host URL``, or ``ops load scalability``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("scalability")
