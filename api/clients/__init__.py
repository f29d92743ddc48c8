"""The wire contract of the original service's clients, over our streams and workouts."""
