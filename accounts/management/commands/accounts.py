"""Look at trading accounts from a terminal."""

from accounts.api.accounts import AccountViewSet
from accounts.commandkit import EXIT_CODES, RowsCommand


class Command(RowsCommand):
    """`manage.py accounts list|show`."""

    help = f"Look at trading accounts; `manage.py engine` starts, pauses and stops them. {EXIT_CODES}"
    view = AccountViewSet
    columns = ("id", "name", "broker", "server", "login", "currency", "demo", "margin_mode", "desired_state")
    empty = "No account yet: add one in the admin, or run `manage.py runengine --demo`."
