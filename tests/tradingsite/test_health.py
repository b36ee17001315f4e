"""The address that a watchdog asks."""

import pytest
from django.test import Client


@pytest.mark.django_db
def test_health_answers_while_the_database_does(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"database": "up"})


@pytest.mark.django_db
def test_the_description_of_the_api_is_for_people_with_a_login(client: Client) -> None:
    assert client.get("/api/schema/").status_code == 401


def test_the_front_page_leads_to_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"
