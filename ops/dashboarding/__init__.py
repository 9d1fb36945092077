"""Dashboards from the spec: what to look at when somebody is called. Pure; ``ops.adapters`` talk to Grafana."""
