"""Django's PostgreSQL backend with one addition: it starts the embedded server when nobody has."""
