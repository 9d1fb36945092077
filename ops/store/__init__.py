"""The store: PostgreSQL with its migrations, and the repositories over it."""
