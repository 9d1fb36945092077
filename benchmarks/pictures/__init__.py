"""Pictures of the dashboards, drawn by Grafana's own components of a live stack under load."""
