"""The pages for browsers: they call what the API's handlers call, and have no SQL of their own."""
