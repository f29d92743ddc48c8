"""`make watch`: a ride or a stream, followed in the terminal while it goes on."""
