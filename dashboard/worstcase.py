"""The worst case in words, for pages that show it while it changes."""

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from accounts.admincells import projection_of, worst_case_text, worst_of_account_text
from accounts.adminkit import person
from accounts.permissions import accounts_of

PARTS_MAX = 200


@require_safe
def worst_cases(request: HttpRequest, account_id: int) -> JsonResponse:
    """Give the account's worst case, and those of the bots and cycles that `bot` and `cycle` name (200 of each)."""
    account = accounts_of(person(request)).select_related("projection").filter(pk=account_id).first()
    if account is None:
        raise Http404
    found = projection_of(account)

    def parts(name: str, kept: str) -> dict[str, str]:
        return {
            key: worst_case_text((found or {}).get(kept, {}).get(key)) for key in request.GET.getlist(name)[:PARTS_MAX]
        }

    return JsonResponse(
        {"account": worst_of_account_text(found), "bots": parts("bot", "bots"), "cycles": parts("cycle", "cycles")}
    )
