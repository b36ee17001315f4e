"""Questions and orders of people by Telegram: allow-listed chats, confirm codes, the same services as the admin."""
