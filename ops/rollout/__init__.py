"""Taking a release from registered to stable, or back: plans, transitions, decisions and the controller."""
