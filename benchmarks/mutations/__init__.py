"""Whether the rule tests find every change of a rule: each number, window, matcher and label is changed, one at a time,
and ``promtool test rules`` alone must fail. ``python -m benchmarks.mutations``."""
