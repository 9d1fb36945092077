"""Is it the model that was registered, and as good a one as stable's? Pure: log-probabilities in, verdicts out."""
