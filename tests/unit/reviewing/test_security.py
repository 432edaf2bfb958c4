"""Who may reach the app, and what it tells browsers: refusals by status, headers, escaped texts."""

import pytest

from sparklabel.reviewing.people import Account, hashed
from tests.unit.reviewing.reviews import BASE, OURS, event, review, rows_of

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ACCOUNTS = {
    "ann": Account("annotator", hashed("secret")),
    "lee": Account("lead", ""),
    "ray": Account("reader", ""),
}
PROXY = "10.0.0.7"


@pytest.fixture
def opened(tmp_path):
    with review(tmp_path) as found:
        yield found


@pytest.fixture
def proxied(tmp_path):
    with review(tmp_path, accounts=ACCOUNTS, user_header="X-User", trust=(PROXY,)) as found:
        yield found


def by_proxy(found, name):
    browser = found.browser(client=(PROXY, 1))
    browser.headers.update({**OURS, "X-User": name})
    return browser


def test_without_a_cookie_the_api_refuses(opened):
    assert opened.browser().get("/api/tone/progress").status_code == 401


def test_without_a_cookie_a_page_says_how_to_get_the_link(opened):
    answer = opened.browser().get("/")
    assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (401, True)
    assert "in the terminal where the review was started" in answer.text


def test_the_link_gives_a_cookie_that_scripts_and_other_sites_do_not_get(opened):
    answer = opened.browser().get("/", params={"token": opened.secret.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200"))


def test_who_came_by_the_link_is_asked_for_a_name(opened):
    browser = opened.browser()
    browser.get("/", params={"token": opened.secret.token})
    assert browser.get("/").headers["location"] == "/name"
    assert browser.get("/name").status_code == 200


def test_a_wrong_token_is_refused_and_ten_in_a_minute_are_too_many(opened):
    browser = opened.browser()
    found = [browser.get("/", params={"token": "wrong"}).status_code for _ in range(12)]
    assert found == [403] * 10 + [429] * 2
    opened.clock.seconds += 61
    assert browser.get("/", params={"token": opened.secret.token}).status_code == 303


def test_a_cookie_that_was_changed_is_none(opened):
    ann = opened.person("ann")
    (name, value) = next(iter(ann.cookies.items()))
    forged = opened.browser(cookies={name: value[:-2] + "xx"})
    assert forged.get("/api/tone/progress").status_code == 401


def test_cookies_outlive_a_restart(tmp_path):
    with review(tmp_path) as first:
        cookies = dict(first.person("ann").cookies)
    with review(tmp_path) as second:
        assert second.browser(cookies=cookies).get("/api/tone/progress").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_another_host_is_refused(opened, host):
    assert opened.browser().get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:8765", "[::1]:8765"])
def test_our_own_names_are_taken_whatever_the_port(opened, host):
    assert opened.browser().get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Sparklabel": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-Sparklabel": "1", "Sec-Fetch-Site": "same-site"},
        {"X-Sparklabel": "1", "Origin": "https://evil.example"},
        {"X-Sparklabel": "1", "Origin": "null"},
        {"X-Sparklabel": "1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Sparklabel": "0", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_request_that_another_site_could_have_sent_is_refused(opened, headers):
    cookies = dict(opened.person("ann").cookies)
    browser = opened.browser(cookies=cookies)
    assert browser.post("/api/tone/next", json={}, headers=headers).status_code == 403


def test_an_older_browser_is_known_by_its_origin(opened):
    browser = opened.browser(cookies=dict(opened.person("ann").cookies))
    headers = {"X-Sparklabel": "1", "Origin": BASE}
    assert browser.post("/api/tone/next", json={}, headers=headers).status_code == 200


def test_another_site_cannot_read_answers(opened):
    browser = opened.browser(cookies=dict(opened.person("ann").cookies))
    assert browser.get("/api/tone/mine", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_large_request_is_refused_by_its_length(opened):
    assert opened.person("ann").post("/api/tone/events", content=b"x" * 1_000_001).status_code == 413


def test_a_large_request_that_does_not_tell_its_length_is_refused(opened):
    parts = (b"x" * 100_000 for _ in range(11))
    assert opened.person("ann").post("/api/tone/events", content=parts).status_code == 413


def test_more_than_a_thousand_events_are_refused(opened):
    events = [{"event_id": f"event-{n}", "id": "h1", "kind": "skip"} for n in range(1001)]
    assert opened.person("ann").post("/api/tone/events", json={"events": events}).status_code == 413


def test_the_header_of_a_trusted_proxy_says_who_somebody_is(proxied):
    assert by_proxy(proxied, "ann").get("/api/tone/about").json()["reviewer"] == "ann"


def test_the_same_header_from_anybody_else_is_not_looked_at(proxied):
    forged = proxied.browser()
    forged.headers.update({**OURS, "X-User": "lee"})
    assert forged.get("/api/tone/about").status_code == 401


def test_who_is_not_on_the_list_is_refused(proxied):
    assert by_proxy(proxied, "eve").get("/api/tone/about").status_code == 403


def test_a_reader_sees_progress_and_cannot_answer(proxied):
    ray = by_proxy(proxied, "ray")
    assert ray.get("/api/tone/progress").status_code == 200
    assert ray.get("/review/tone").status_code == 403
    assert ray.post("/api/tone/events", json={"events": []}).status_code == 403


def test_an_annotator_does_not_decide_what_people_dispute(proxied):
    ann, lee = by_proxy(proxied, "ann"), by_proxy(proxied, "lee")
    row = rows_of(ann)[0]["id"]
    decision = {"events": [event(row, "good", kind="resolve")]}
    assert ann.post("/api/tone/events", json=decision).json()["outcomes"][0]["outcome"] == "refused"
    assert lee.post("/api/tone/events", json=decision).json()["outcomes"][0]["outcome"] == "kept"


def test_with_passwords_the_right_one_signs_in(tmp_path):
    with review(tmp_path, accounts=ACCOUNTS) as found:
        browser = found.browser(headers=OURS)
        assert browser.get("/").headers["location"] == "/name"
        assert browser.post("/name", json={"name": "ann", "password": "wrong"}).status_code == 403
        assert browser.post("/name", json={"name": "lee", "password": ""}).status_code == 403
        assert browser.post("/name", json={"name": "nobody", "password": "secret"}).status_code == 403
        assert browser.post("/name", json={"name": "ann", "password": "secret"}).status_code == 200
        assert browser.get("/api/tone/about").json()["role"] == "annotator"


def test_with_passwords_a_link_opens_nothing(tmp_path):
    with review(tmp_path, accounts=ACCOUNTS) as found:
        assert found.browser().get("/", params={"token": found.secret.token}).status_code == 403


def test_wrong_passwords_are_too_many_after_ten(tmp_path):
    with review(tmp_path, accounts={"lee": Account("lead", "")}) as found:
        browser = found.browser(headers=OURS)
        statuses = [
            browser.post("/name", json={"name": "lee", "password": "x"}).status_code for _ in range(11)
        ]
        assert statuses == [403] * 10 + [429]


def test_two_people_of_one_name_are_told(opened):
    opened.person("ann")
    other = opened.browser()
    other.get("/", params={"token": opened.secret.token})
    answer = other.post("/name", json={"name": "ann"}, headers=OURS)
    assert (answer.status_code, answer.json()["message"]) == (409, "ann is here already.")
    assert other.post("/name", json={"name": "ann", "same": True}, headers=OURS).status_code == 200


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, None, 7, "a\u202eb"])
def test_a_name_that_cannot_be_used_is_refused(opened, name):
    browser = opened.browser()
    browser.get("/", params={"token": opened.secret.token})
    assert browser.post("/name", json={"name": name}, headers=OURS).status_code == 422


@pytest.mark.parametrize(
    "path", ["/", "/review/tone", "/healthz", "/static/style.css", "/nowhere", "/api/tone/about"]
)
def test_every_response_has_the_policy(opened, path):
    headers = opened.person("ann").get(path).headers
    assert headers["content-security-policy"] == CSP
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_refusals_have_the_policy_too(opened):
    for answer in (
        opened.browser().get("/"),
        opened.browser().get("/", headers={"Host": "evil.example"}),
        opened.person("ann").post("/api/tone/events", content=b"x" * 1_000_001),
    ):
        assert answer.headers["content-security-policy"] == CSP


def test_names_are_shown_as_text(opened):
    name = "<script>alert(1)</script>{{ 7 * 7 }}"
    browser = opened.person(name)
    for path in ("/", "/review/tone", "/name"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
        assert "{{ 7 * 7 }}" in page


def test_no_page_has_a_script_or_style_of_its_own(opened):
    browser = opened.person("ann")
    for path in ("/", "/review/tone", "/name", "/nowhere"):
        page = browser.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/static/')


def test_a_link_in_a_chat_works_although_its_cookie_comes_late(opened):
    answer = opened.browser().get("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (200, True)


def test_a_read_only_review_takes_no_answers(tmp_path):
    with review(tmp_path, read_only=True) as found:
        ann = found.person("ann")
        assert ann.post("/api/tone/events", json={"events": []}).status_code == 403
        assert len(rows_of(ann)) == 20


def test_the_secret_is_its_owners_alone(opened):
    file = opened.state.call.journal.with_name("review.db.secret")
    assert file.stat().st_mode & 0o077 == 0


def test_health_is_told_to_anybody_and_the_table_to_this_machine(opened):
    assert opened.browser().get("/healthz").json()["table"] == "t"
    assert set(opened.browser(client=("10.0.0.1", 1)).get("/healthz").json()) == {"app", "ready"}


def test_a_name_that_was_typed_does_not_pass_for_one_with_a_password_after_a_restart(tmp_path):
    with review(tmp_path) as found:
        cookies = dict(found.person("ann").cookies)
    with review(tmp_path, accounts=ACCOUNTS) as found:
        browser = found.browser(cookies=cookies)
        assert browser.get("/review/tone").status_code != 200
        assert browser.get("/api/tone/progress").status_code == 401


def test_a_new_password_ends_what_was_signed_in_with_the_old_one(tmp_path):
    with review(tmp_path, accounts=ACCOUNTS) as found:
        browser = found.browser()
        browser.post("/name", json={"name": "ann", "password": "secret"}, headers=OURS)
        assert browser.get("/api/tone/progress").status_code == 200
        cookies = dict(browser.cookies)
    changed = ACCOUNTS | {"ann": Account("annotator", hashed("another"))}
    with review(tmp_path, accounts=changed) as found:
        assert found.browser(cookies=cookies).get("/api/tone/progress").status_code == 401
