"""The black-box prober: asks the public API as a user would, and answers with a verdict."""
