"""HTTP itself: routing, bodies, queries, problems, the document; it knows no ride and no user."""
