"""Who calls: accounts, sessions, keys, signing in, and how often one may try."""
