"""What the admin's pages of accounts and bots, which lie below this package, show of their trading."""

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("dashboard/trading.html", takes_context=True)
def trading_of_account(context: template.Context) -> dict[str, Any]:
    """Show positions, figures, bots, exposure and charts of the account whose page this is."""
    return _desk_of(context, context["original"])


@register.inclusion_tag("dashboard/trading.html", takes_context=True)
def trading_of_bot(context: template.Context) -> dict[str, Any]:
    """Show positions, figures and charts of the bot whose page this is."""
    bot = context["original"]
    return _desk_of(context, bot.account, bot)


def _desk_of(context: template.Context, *about: Any) -> dict[str, Any]:
    # Unfold renders a template while it is imported, and with that loads all tag libraries: ours must not need it
    from dashboard.trading import desk_of

    return desk_of(context["request"].user, *about)
