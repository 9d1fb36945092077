"""Load suites as Locust runs them: its users, shapes, workers and UI; our arrivals, clock and figures.

Importing it imports Locust, which replaces parts of Python's standard library (gevent).
"""
