"""Users and who calls: accounts, sessions, keys, signing in, and limits on attempts."""
