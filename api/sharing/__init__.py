"""Links by which riders show a ride to others, and what such a link never shows."""
