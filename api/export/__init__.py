"""All that is stored of a user, as one zip file."""
