"""One module for each family of alerts: everything about an alert stands in one place."""
