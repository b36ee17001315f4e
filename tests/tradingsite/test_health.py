"""The address that a watchdog asks."""

import pytest
from django.test import Client


@pytest.mark.django_db
def test_health_answers_while_the_database_does(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"database": "up"})


def test_the_front_page_leads_to_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"
