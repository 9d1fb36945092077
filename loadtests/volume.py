"""Large prompts, large answers, and many of them at once.

``locust -f loadtests/volume.py --host URL``, or ``ops load volume``.
"""

from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite("volume")
