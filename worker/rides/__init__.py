"""One ride in a worker's hands: its batches, its archive, its figures, its rows."""
