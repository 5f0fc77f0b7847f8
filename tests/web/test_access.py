"""Who may ask."""

import pytest
from tests.web.sender import failure, span_request, success

from ihobs.cli.serve import token_for, url_of
from ihobs.errors import InvalidInputError
from ihobs.web.access import Policy, is_loopback, policy_of

TOKEN = "0123456789abcdef"
WITH_TOKEN = Policy(None, TOKEN)
ON_LOOPBACK = policy_of("127.0.0.1", "127.0.0.1", (), None)


def test_probes_need_no_token(listen):
    receiver = listen(policy=WITH_TOKEN)
    for path in ("/healthz", "/readyz", "/api/test"):
        assert receiver.get(path).status_code == 200, path


def test_spans_need_the_token(listen):
    receiver = listen(policy=WITH_TOKEN)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = receiver.post(span_request(1), **headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "Authorization: Bearer" in failure(answer)
    assert receiver.spans() == 0
    success(receiver.post(span_request(1), authorization=f"bearer {TOKEN}"))
    assert receiver.spans() == 1


def test_a_person_may_bring_the_token_in_the_url(listen):
    receiver = listen(policy=WITH_TOKEN)
    assert receiver.get("/metrics").status_code == 401
    assert receiver.get(f"/metrics?token={TOKEN}").status_code == 200
    assert receiver.get("/metrics?token=nonsense").status_code == 401
    answer = receiver.session.post(f"{receiver.url}/v1/traces?token={TOKEN}", timeout=10)
    assert answer.status_code == 401


def test_a_token_of_other_characters_is_just_wrong(listen):
    receiver = listen(policy=WITH_TOKEN)
    assert receiver.get("/metrics", authorization="Bearer \u00e9".encode()).status_code == 401
    assert receiver.get("/metrics?token=%ff%00").status_code == 401


def test_on_loopback_we_go_by_the_names_of_loopback(listen):
    receiver = listen(policy=ON_LOOPBACK)
    for host in ("127.0.0.1", "localhost:8081", "LOCALHOST", "[::1]:8081", "localhost.:1"):
        assert receiver.get("/healthz", host=host).status_code == 200, host


def test_on_loopback_a_page_of_another_site_is_refused(listen):
    receiver = listen(policy=ON_LOOPBACK)
    for host in ("evil.example", "evil.example:8081", "127.0.0.1.evil.example", "", "localhost@x"):
        assert receiver.get("/metrics", host=host).status_code == 421, host
        answer = receiver.post(span_request(1), host=host)
        assert (answer.status_code, "--allow-host" in failure(answer)) == (421, True), host
    assert receiver.spans() == 0


def test_further_names_can_be_allowed(listen):
    receiver = listen(policy=policy_of("127.0.0.1", "127.0.0.1", ["Ihobs.Example"], None))
    assert receiver.get("/healthz", host="ihobs.example:80").status_code == 200
    assert receiver.get("/healthz", host="other.example").status_code == 421


def test_beyond_loopback_any_name_will_do_unless_some_are_named():
    assert policy_of("0.0.0.0", "0.0.0.0", (), TOKEN) == Policy(None, TOKEN)
    named = policy_of("10.0.0.1", "Server", ["Ihobs.Example"], TOKEN)
    assert named.hosts == {"localhost", "127.0.0.1", "[::1]", "10.0.0.1", "server", "ihobs.example"}
    assert "[fd00::1]" in policy_of("fd00::1", "fd00::1", ["x"], TOKEN).hosts


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_loopback_is_known(address, expected):
    assert is_loopback(address) is expected
    assert is_loopback("fe80::1%eth0") is False


def test_on_loopback_a_token_is_only_needed_when_the_user_sets_one():
    assert token_for("127.0.0.1", {}) == (None, False)
    assert token_for("127.0.0.1", {"IHOBS_TOKEN": ""}) == (None, False)
    assert token_for("127.0.0.1", {"IHOBS_TOKEN": TOKEN}) == (TOKEN, False)


def test_beyond_loopback_one_is_made_up_when_the_user_sets_none():
    assert token_for("0.0.0.0", {}, make=lambda: "made up") == ("made up", True)
    assert token_for("0.0.0.0", {"IHOBS_TOKEN": TOKEN}, make=lambda: "made up") == (TOKEN, False)
    first, second = token_for("0.0.0.0", {})[0], token_for("0.0.0.0", {})[0]
    assert first != second
    assert len(first) >= 32


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(InvalidInputError) as caught:
        token_for("127.0.0.1", {"IHOBS_TOKEN": "secret"})
    assert (caught.value.where, caught.value.reason) == ("IHOBS_TOKEN", "is shorter than 16 characters")
    assert "secret'" not in str(caught.value)


def test_the_url_names_a_place_that_can_be_reached():
    assert url_of("127.0.0.1", "127.0.0.1", 8081) == "http://127.0.0.1:8081"
    assert url_of("::1", "::1", 1) == "http://[::1]:1"
    assert url_of("0.0.0.0", "0.0.0.0", 1, hostname=lambda: "box") == "http://box:1"
    assert url_of("ihobs.internal", "10.0.0.1", 1) == "http://ihobs.internal:1"
