"""Argo Rollouts, Flagger and Kayenta as their documentation and sources describe them, in pure functions.

Written anew from a description (see docs/judge.md), not copied. Each is given what it would be given in production:
a metric's value at an interval, or two series of points.
"""
