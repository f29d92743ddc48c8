"""Files that users send: read in a process of their own, and placed among the user's workouts."""
