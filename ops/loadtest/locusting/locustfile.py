"""The locustfile of ``ops load``: the suite's name comes by the environment."""

import os

from ops.loadtest.launching import SUITE_VARIABLE
from ops.loadtest.locusting.suite import load_suite

SpecUser, SpecShape = load_suite(os.environ[SUITE_VARIABLE])
