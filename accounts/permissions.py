"""Who may do what with which account. Everything that shows or changes something of an account asks here."""

from typing import Literal

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import AccountRole, TradingAccount

RoleName = Literal["viewer", "trader", "manager"]
Person = AbstractBaseUser | AnonymousUser

# A higher role includes the lower ones
AT_LEAST: dict[str, tuple[str, ...]] = {
    "viewer": ("viewer", "trader", "manager"),
    "trader": ("trader", "manager"),
    "manager": ("manager",),
}


def is_superuser(user: Person) -> bool:
    """Tell whether a person may do everything with every account."""
    return bool(user.is_active and getattr(user, "is_superuser", False))


def accounts_of(user: Person, role: RoleName = "viewer") -> QuerySet[TradingAccount]:
    """Return the accounts in which a person has at least `role`; superusers have every role everywhere."""
    if is_superuser(user):
        return TradingAccount.objects.all()
    if not user.is_active or user.pk is None:
        return TradingAccount.objects.none()
    held = AccountRole.objects.filter(user_id=user.pk, role__in=AT_LEAST[role])
    return TradingAccount.objects.filter(pk__in=held.values("account_id"))


def can(user: Person, account: TradingAccount | int, role: RoleName) -> bool:
    """Tell whether a person has at least `role` in an account (given as row or primary key)."""
    if is_superuser(user):
        return True
    if not user.is_active or user.pk is None:
        return False
    pk = account if isinstance(account, int) else account.pk
    return AccountRole.objects.filter(user_id=user.pk, account_id=pk, role__in=AT_LEAST[role]).exists()


def can_anywhere(user: Person, role: RoleName) -> bool:
    """Tell whether a person has at least `role` in some account."""
    if is_superuser(user):
        return True
    if not user.is_active or user.pk is None:
        return False
    return AccountRole.objects.filter(user_id=user.pk, role__in=AT_LEAST[role]).exists()
