"""PostgreSQL and Valkey from wheels, for a checkout without servers."""
