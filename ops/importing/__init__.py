"""`make import`: files of this machine become rides of a user, by way of the API."""
