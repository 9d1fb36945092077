"""The local stack: database, gateway workers, controller and Prometheus as supervised processes of one machine."""
