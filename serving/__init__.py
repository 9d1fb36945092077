"""The data plane: gateway, engines and tasks. It never imports ``ops``."""
