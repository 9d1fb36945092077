"""Is the canary worse? Pure statistics over counters: no clock, no I/O, no chance.

``counting`` turns raw snapshots into differences, ``evidence`` turns counts into e-values, ``judging`` decides.
"""
