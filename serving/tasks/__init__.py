"""The service's own tasks: per version a folder with, for each task, a prompt template and its schemas.

A new task is two files, ``<task>.j2`` and ``<task>.schema.json``, and one entry in the spec.
"""
