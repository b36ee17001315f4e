"""Every answer carries a policy that lets nothing in from elsewhere."""

import pytest
from django.test import Client

from accounts.models import User


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/admin/login/", "/admin/", "/api/docs/", "/nothing-here"])
def test_every_answer_has_a_policy(path: str) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    answer = client.get(path)
    policy = dict(part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["connect-src"] == policy["form-action"] == "'self'"
    assert "unsafe-inline" not in policy["script-src"]
    assert ("unsafe-eval" in policy["script-src"]) == path.startswith("/admin/")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_no_page_of_ours_holds_a_script() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for path in ("/admin/", "/admin/live/", "/api/docs/"):
        text = client.get(path).content.decode()
        tags = [script.split(">")[0] for script in text.split("<script")[1:]]
        assert tags
        assert all("src=" in tag or 'type="application/json"' in tag for tag in tags), path
        assert " onclick=" not in text
