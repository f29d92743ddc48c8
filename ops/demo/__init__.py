"""`make run`: everything on this machine, and a ride played into it."""
