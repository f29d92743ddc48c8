"""Apps of others, which riders let in by OAuth 2.1: registration, consent, tokens, connections."""
