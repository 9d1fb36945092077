"""The API in front of the engines: policies as a short chain of plain functions around one streaming proxy.

Start with ``python -m serving.gateway``. Of the rest of the system it knows ``serving.contract`` alone.
"""
