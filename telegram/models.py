"""Chats that may ask, what they are about to do, and which updates were seen."""

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from accounts.models import NAME


class Chat(models.Model):
    """A private chat with the desk's bot, and the person whose rights it has. No other chat is answered."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="telegram_chats")
    name = models.CharField(max_length=60, validators=[NAME])
    chat_id = models.BigIntegerField(unique=True, validators=[MinValueValidator(1)])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    heard_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("user", "name")

    def __str__(self) -> str:
        return self.name


class Pending(models.Model):
    """A change that waits for its code; a chat has one at most."""

    chat = models.OneToOneField(Chat, on_delete=models.CASCADE, primary_key=True, related_name="pending")
    command = models.CharField(max_length=10)
    accounts = models.JSONField(default=list)
    code = models.CharField(max_length=6)
    tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.command} in {self.chat}"


class Bookmark(models.Model):
    """The number of the next update of a bot. It moves in the transaction that carries an update out: each once."""

    bot = models.CharField(max_length=20, primary_key=True, help_text="The part of the token before the colon.")
    next_update = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.bot}: {self.next_update}"
