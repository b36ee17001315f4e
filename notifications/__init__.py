"""News for people and programs outside: messages by apprise and signed webhooks, as each person wants them."""
