"""`make simulate`: riders who are under way at the same time, and a table of what goes through."""
