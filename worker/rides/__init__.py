"""One ride in a worker's hands: its archive, its figures, its rows."""
