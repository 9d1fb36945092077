"""Alerts from the spec: rules, their tests, their runbooks, and who is told. Pure; ``ops.adapters`` talk to servers."""
