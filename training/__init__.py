"""Installing vLLM and building the tiny models. Runs under vLLM's own Python; nothing else imports it."""
