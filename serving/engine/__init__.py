"""Engines: what answers a tier's requests. ``python -m serving.engine`` starts one, simulated or real."""
