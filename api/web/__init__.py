"""HTTP itself: routing, bodies, queries, problems, the document. It knows no workouts or users."""
