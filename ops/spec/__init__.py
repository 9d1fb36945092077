"""The spec: its types, its faults, and what is compiled from it. Pure: text and files are the adapters' business.

Imports none of it: ``ops.spec.faults`` is wanted by every command, ``ops.spec.model`` takes longer to import than most
commands take to run.
"""
