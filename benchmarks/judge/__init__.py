"""The judge and its peers over imagined rollouts: how often each is wrong and how soon it is right.

``python -m benchmarks.judge --help``. Ours is the real judge (``ops.judge``); the peers are re-implemented from what
their documentation and sources say they do (``peers``). All see the same imagined traffic.
"""
