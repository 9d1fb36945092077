"""A vLLM-compatible engine without a GPU: vLLM's API, metrics and scheduling, with invented text and modelled time.

``scheduler``, ``blocks``, ``cost`` and ``simulation`` are the pure core: time and chance are arguments. ``engine``
drives them by the clock, ``app`` speaks HTTP.
"""
