"""Admin of rows that belong to a person, not to an account."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.adminkit import FactAdmin, has_anywhere, person
from accounts.permissions import is_superuser


class OwnAdmin(FactAdmin[Any]):
    """Rows of a person: everyone with a role sees their own, superusers all."""

    account_path = None
    owner: str

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        return found if is_superuser(request.user) else found.filter(**{self.owner: person(request)})

    def may(self, request: HttpRequest, obj: Any, role: Any) -> bool:
        if isinstance(obj, self.model):
            return self.get_queryset(request).filter(pk=obj.pk).exists()
        return has_anywhere(request, "viewer")
