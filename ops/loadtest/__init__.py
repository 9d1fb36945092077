"""Load on the public API: arrivals, requests and what came of each."""
