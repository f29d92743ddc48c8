"""Files of rides: sent, followed until they are workouts, and given back as they were."""
