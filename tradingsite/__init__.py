"""The site: settings, URLs, ASGI application, embedded PostgreSQL and system checks."""
