"""How soon alerts page, how soon they end, how often they page for nothing: ours, and those of peers."""
