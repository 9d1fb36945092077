"""The dashboards, one a module: ``dashboard(spec)``."""
