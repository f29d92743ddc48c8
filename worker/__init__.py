"""Workers: fold waiting samples into PostgreSQL, one event at a time."""
