"""Who gets which role: what [auth] and [access] may say, and what is refused with which sentence."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dashboard import access_rules
from dashboard.access_rules import AccessRules, Grant, Role
from sync.errors import ConfigurationError

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "access.md"
PROVIDER = {
    "client_id": "ledger",
    "client_secret": "secret-7c21",
    "server_metadata_url": "https://accounts.example.com/.well-known/openid-configuration",
}
AUTH = {
    "redirect_uri": "https://ledger.example.com/oauth2callback",
    "cookie_secret": "7c21e0b4" * 4,
    **PROVIDER,
}
ACCESS: dict[str, Any] = {
    "admins": ["Ana@Agency.example"],
    "analysts": ["@agency.example"],
    "clients": {"boss@acme.example": ["Acme, Inc.", "Acme | West"], "intern@agency.example": ["Acme, Inc."]},
}


def rules(access: dict[str, Any] | None = None, **auth: object) -> AccessRules:
    found = access_rules.read({"auth": AUTH | auth, "access": ACCESS if access is None else access})
    assert found
    return found


def refusal(secrets: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        access_rules.read(secrets)
    message = str(caught.value)
    assert "\n" not in message
    assert "7c21" not in message, "values may be secrets"
    return message


def test_without_a_login_there_are_no_rules() -> None:
    assert access_rules.read({"CRON_SECRET": "something"}) is None


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("ana@agency.example", Role.ADMIN),
        (" ANA@agency.Example ", Role.ADMIN),
        ("somebody.else@agency.example", Role.ANALYST),
        ("boss@acme.example", Role.CLIENT),
        ("intern@agency.example", Role.CLIENT),
        ("other@acme.example", None),
        ("ana@agency.example.evil.example", None),
        ("ana@evil-agency.example", None),
        ("ana@sub.agency.example", None),
        ("evil@evil.example@agency.example", None),
        ("@agency.example", None),
        ("agency.example", None),
        ("", None),
        ("boss@ac\u217ee.example", None),
        ("boss@acme.example\u200b", None),
        ("bos\u017f@acme.example", None),
        ("\u212aen@agency.example", None),
    ],
)
def test_an_address_counts_before_its_domain_and_nothing_that_only_looks_like_one(
    email: str, role: Role | None
) -> None:
    grant = rules().grant_for(email)

    assert (grant and grant.role) == role


def test_a_client_is_limited_to_its_workspaces_and_others_are_not() -> None:
    assert rules().grant_for("boss@acme.example") == Grant(
        role=Role.CLIENT, workspaces=frozenset({"Acme, Inc.", "Acme | West"})
    )
    assert rules().grant_for("ana@agency.example") == Grant(role=Role.ADMIN, workspaces=None)


def test_one_provider_stands_in_the_table_itself_and_several_have_tables_of_their_own() -> None:
    several = {**AUTH, "google": PROVIDER, "microsoft": PROVIDER}
    named_alone = {name: value for name, value in several.items() if name not in PROVIDER}

    assert rules().providers == ("default",)
    assert rules(**several).providers == ("default", "google", "microsoft")
    found = access_rules.read({"auth": named_alone, "access": ACCESS})
    assert found
    assert found.providers == ("google", "microsoft")


def test_the_dashboards_own_name_and_scheme_come_from_its_redirect_address() -> None:
    local = rules(redirect_uri="http://localhost:3093/oauth2callback")

    assert (rules().host, rules().is_https) == ("ledger.example.com", True)
    assert (local.host, local.is_https) == ("localhost", False)


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        ({"redirect_uri": "https://ledger.example.com/"}, "redirect_uri must be the dashboard's address followed by /"),
        ({"redirect_uri": "http://ledger.example.com/oauth2callback"}, "redirect_uri must start with https://"),
        ({"cookie_secret": "short-7c21"}, "cookie_secret string should have at least 32 characters"),
        ({"cookie_secret": "a secret that everybody knows 7c21"}, "cookie_secret must be the output of: openssl rand"),
        ({"cookie_secret": "7" * 32}, "cookie_secret must be the output of: openssl rand"),
        ({"cookie_secret": "7c21" * 8}, "cookie_secret must be the output of: openssl rand"),
        ({"cookie_secret": "changeme" * 4}, "cookie_secret must be the output of: openssl rand"),
        ({"cookie_secret": "YOUR_COOKIE_SECRET_0123456789abcdef"}, "cookie_secret must be the output of: openssl rand"),
        ({"client_id": ""}, "client_id string should have at least 1 character"),
        ({"server_metadata_url": "http://accounts.7c21.example/x"}, "server_metadata_url must start with https://"),
        ({"server_metadata_url": "accounts.7c21.example"}, "server_metadata_url must be a web address"),
        *(
            (
                {
                    "server_metadata_url": f"https://login.microsoftonline.com/{anybodys}/.well-known/openid-configuration"
                },
                "server_metadata_url must name your own organisation",
            )
            for anybodys in (
                *("common/v2.0", "COMMON/v2.0", "%63ommon", "Organizations/v2.0", "consumers"),
                "9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
            )
        ),
        ({"google": {"client_id": "x"}}, "[auth.google] client_secret field required"),
        ({"my_google": PROVIDER}, "[auth.my_google] must have a name without an underscore"),
    ],
)
def test_a_login_that_cannot_work_or_lets_too_many_in_is_refused(auth: dict[str, Any], problem: str) -> None:
    message = refusal({"auth": AUTH | auth, "access": ACCESS})

    assert problem in message


def test_a_login_without_its_settings_names_what_is_missing() -> None:
    message = refusal({"auth": {}, "access": ACCESS})

    assert message == (
        "[auth] redirect_uri field required; cookie_secret field required. Correct it in .streamlit/secrets.toml."
    )


@pytest.mark.parametrize(
    ("access", "problem"),
    [
        ({"admins": ["ana"]}, "[access] admins must be an e-mail address, or @ and a domain"),
        ({"admins": ["@"]}, "[access] admins must be an e-mail address, or @ and a domain"),
        ({"admins": ["a b@agency.example"]}, "[access] admins must be an e-mail address, or @ and a domain"),
        ({"admins": "ana@agency.example"}, "[access] admins input should be a valid list"),
        ({"admin": ["ana@agency.example"]}, "[access] admin extra inputs are not permitted"),
        ({"clients": {"boss@acme.example": []}}, "[access] clients list should have at least 1 item"),
        ({"clients": ["boss@acme.example"]}, "[access] clients input should be a valid dictionary"),
        ({"admins": ["a@b.example"], "analysts": ["A@b.example"]}, "[access] names a@b.example twice; give it one"),
        ({}, "[auth] lets nobody in; name admins under [access]"),
    ],
)
def test_a_wrong_list_stops_the_start_with_one_line_that_names_it(access: dict[str, Any], problem: str) -> None:
    assert problem in refusal({"auth": AUTH, "access": access})


def test_roles_without_a_login_are_refused_since_nothing_would_keep_anybody_out() -> None:
    assert refusal({"access": ACCESS}) == "[access] has no effect without [auth]; add it in .streamlit/secrets.toml."


def test_the_documented_example_is_valid_once_it_has_a_secret_of_its_own() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[:1]
    secrets = tomllib.loads(example)
    with pytest.raises(ConfigurationError, match="cookie_secret must be the output of: openssl rand -hex 32"):
        access_rules.read(secrets)
    secrets["auth"]["cookie_secret"] = "7c21e0b4" * 8

    found = access_rules.read(secrets)

    assert found
    assert {grant.role for grant in found.grants.values()} == set(Role)


@pytest.mark.parametrize(
    "access",
    [
        {"admins": ["@gmail.com"]},
        {"admins": ["ana@agency.example"], "analysts": ["@GoogleMail.com "]},
        {"admins": ["ana@agency.example"], "clients": {"@outlook.com": ["Acme"]}},
    ],
)
def test_a_domain_where_anybody_gets_an_address_is_no_entry(access: dict[str, Any]) -> None:
    message = refusal({"auth": AUTH, "access": access})

    assert "must be addresses of people, or @ and a domain of your own: anybody gets an address there" in message


def test_a_person_with_an_address_there_is_one() -> None:
    found = access_rules.read({"auth": AUTH, "access": {"admins": ["ana@gmail.com"]}})

    assert found
    assert found.grant_for("ana@gmail.com")
    assert found.grant_for("eve@gmail.com") is None
