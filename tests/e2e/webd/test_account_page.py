"""The account page: people sign in with their own password and see and change what is theirs, and nobody else does."""

import imaplib
import plistlib
import re
import urllib.parse

import pytest

import postroom
from browser import Browser

pytestmark = pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so")

SESSION = "__Host-postroom"
DOOR = "__Host-postroom-door"


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob", "carol"), web=True, conf="failure-delay 0\nscram-iterations 4096\n") as instance:
        instance.start()
        yield instance


def signed_in(server, user):
    browser = Browser(server)
    answer = browser.sign_in(user)
    assert answer.status == 200 and "Sign out" in answer.text, answer.text
    return browser, answer.page


def is_signed_in(browser):
    return "/account/sign-out" in browser.get().page.forms


def test_one_signs_in_sees_ones_account_and_signs_out(server):
    server.send(postroom.message(), to="alice")
    browser = Browser(server)
    first = browser.get()
    assert first.status == 200 and set(first.page.forms) == {"/account/sign-in"} and set(browser.cookies) == {DOOR}
    answer = browser.send(first.page, "/account/sign-in", follow=False, user=" Alice@Example.Test ", password=server.password("alice"))
    assert (answer.status, answer.headers["Location"]) == (303, "/account") and set(browser.cookies) == {SESSION}
    # imapd, which has just been started, may not know yet what is stored: mail programs are served before its control socket.
    postroom.wait_for("the page says what is stored", lambda: "in 1 messages" in browser.get().page.text)
    page = browser.get()
    assert server.address("alice") in page.page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; form-action 'self'")
    assert ("html", {"lang": "en"}) in page.page.tags and "script" not in {tag for tag, _ in page.page.tags}
    labels = {attrs["for"] for tag, attrs in page.page.tags if tag == "label"}
    assert all(attrs.get("id") in labels for tag, attrs in page.page.tags
               if tag in ("input", "textarea") and attrs.get("type") != "hidden")
    old = dict(browser.cookies)
    left = browser.send(page.page, "/account/sign-out")
    assert "You are signed out." in left.page.text and SESSION not in browser.cookies
    browser.cookies = old           # somebody has kept the cookie
    assert not is_signed_in(browser)


def test_wrong_and_unknown_read_the_same_and_are_counted_as_everywhere(server):
    server.postroom("auth", "unblock", "--all")
    answers = []
    for user in ("bob", "nobody"):
        browser = Browser(server)
        answer = browser.send(browser.get().page, "/account/sign-in", user=server.address(user), password="wrong <b>")
        assert answer.status == 403 and SESSION not in browser.cookies
        answers.append(re.sub(r'value="[^"]*"', "", answer.text))
    assert answers[0] == answers[1] and "The address or the password is wrong." in answers[0]
    server.wait_log("event=login.failed")
    assert re.search(r"event=login\.failed .*protocol=web .*user=bob@example\.test", server.log())


def test_too_many_wrong_passwords_are_throttled_with_all_other_logins(server):
    server.add_account("mallory")
    server.postroom("auth", "unblock", "--all")
    browser = Browser(server)
    page = browser.get().page
    for n in range(50):
        answer = browser.send(page, "/account/sign-in", user=server.address("mallory"), password=f"wrong {n}")
        if answer.status == 503:
            break
        page = answer.page
    assert answer.status == 503 and "Too many failed logins" in answer.page.text
    assert browser.sign_in("mallory").status == 503         # also the right one
    with pytest.raises(imaplib.IMAP4.error, match="Too many failed logins"):
        server.imap("mallory")
    server.postroom("auth", "unblock", "--all")
    assert "Sign out" in browser.sign_in("mallory").text


@pytest.mark.parametrize("change", ("no token", "other form's token", "other visit's token", "elsewhere", "origin"))
def test_a_form_that_is_not_ours_changes_nothing(server, change):
    browser, page = signed_in(server, "bob")
    fields = {"label": "evil", **page.forms["/account/app-password"][0]}
    headers = {}
    if change == "no token":
        fields["form"] = ""
    elif change == "other form's token":
        fields["form"] = page.forms["/account/vacation"][0]["form"]
    elif change == "other visit's token":
        fields["form"] = signed_in(server, "carol")[1].forms["/account/app-password"][0]["form"]
    elif change == "elsewhere":
        headers["Sec-Fetch-Site"] = "cross-site"
    else:
        headers["Origin"] = "https://evil.example"
    fields["label"] = "evil"
    assert browser.ask("POST", "/account/app-password", fields, headers).status == 403
    assert server.json("app-password", "list", server.address("bob")) == []


def test_signing_in_needs_the_cookie_of_the_page(server):
    browser = Browser(server)
    form = browser.get().page.forms["/account/sign-in"][0]
    fields = {**form, "user": server.address("bob"), "password": server.password("bob")}
    for cookies in ({}, {DOOR: "a" * 32}, {DOOR: ""}, {SESSION: browser.cookies[DOOR]}):
        assert browser.ask("POST", "/account/sign-in", fields, cookies=cookies).status == 403


@pytest.mark.parametrize("value", ("", "a" * 32, "a" * 7000, "\"<script>"))
def test_a_foreign_cookie_is_nobodys(server, value):
    answer = Browser(server).ask("GET", "/account", cookies={SESSION: value})
    assert set(answer.page.forms) == {"/account/sign-in"}
    assert Browser(server).ask("POST", "/account/revoke", {"number": "1"}, cookies={SESSION: value}).headers["Location"] == "/account"


def test_an_app_password_is_made_shown_once_used_and_taken_back(server):
    label = "phone <script>alert(1)</script> & \"Söhne\""
    browser, page = signed_in(server, "carol")
    made = browser.send(page, "/account/app-password", label=label)
    password = re.search(r'class="secret">([a-z0-9-]{23})<', made.text).group(1)
    assert label in made.page.text and "script" not in {tag for tag, _ in made.page.tags}
    assert password not in browser.get().text
    again = browser.send(page, "/account/app-password", label=label)
    assert again.status == 400 and "There is one of that name" in again.page.text
    imap = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context(), timeout=postroom.DEADLINE_S)
    imap.login(server.address("carol"), password)
    refused = Browser(server).sign_in("carol", password)
    assert refused.status == 403 and "This password is not good for the account page." in refused.page.text
    now = browser.send(browser.get().page, "/account/revoke")
    assert "The app password was taken back" in now.page.text and label not in now.page.text
    with pytest.raises((imaplib.IMAP4.error, OSError)):
        imap.noop()
    with pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4("127.0.0.1", server.port("imap")).login(server.address("carol"), password)


def test_an_app_password_that_is_taken_back_ends_sessions_with_a_former_program(server):
    browser, page = signed_in(server, "bob")
    password = re.search(r'class="secret">([a-z0-9-]{23})<', browser.send(page, "/account/app-password", label="lost").text).group(1)
    imap = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context(), timeout=postroom.DEADLINE_S)
    imap.login(server.address("bob"), password)
    server.postroom("upgrade")
    assert imap.noop()[0] == "OK"
    browser, page = signed_in(server, "bob")
    assert "The app password was taken back" in browser.send(page, "/account/revoke").page.text
    with pytest.raises((imaplib.IMAP4.error, OSError)):
        imap.noop()


def test_names_of_devices_are_only_text_and_devices_can_be_signed_out(server):
    imap = server.imap("carol", tls=False)
    imap.xatom("ID", '("name" "<img src=x onerror=alert(1)>")')
    browser, page = signed_in(server, "carol")

    def listed():
        page = browser.get().page
        return page if "<img src=x" in page.text else None
    page = postroom.wait_for("the device is listed", listed)
    assert "img" not in {tag for tag, _ in page.tags}
    keys = [form["device"] for form in page.forms["/account/device"]]
    row = next(row for row in server.json("device", "list", server.address("carol")) if row["name"].startswith("<img"))
    answer = browser.send(page, "/account/device", which=next(i for i, key in enumerate(keys) if key.startswith(row["id"])))
    assert "The device was signed out." in answer.page.text and "<img src=x" not in answer.page.text
    with pytest.raises((imaplib.IMAP4.error, OSError)):
        imap.noop()


def test_a_browser_that_is_signed_out_as_a_device_leaves_the_page(server):
    stranger, _ = signed_in(server, "carol")
    browser, _ = signed_in(server, "carol")
    other, _ = signed_in(server, "bob")

    def listed():
        page = browser.get().page
        return page if "Account page" in page.text else None
    page = postroom.wait_for("the browsers are listed", listed)
    rows = server.json("device", "list", server.address("carol"))
    row = next(row for row in rows if row["name"] == "Account page")
    which = next(i for i, form in enumerate(page.forms["/account/device"]) if form["device"].startswith(row["id"]))
    assert "The device was signed out." in browser.send(page, "/account/device", which=which).page.text
    assert not is_signed_in(stranger) and is_signed_in(other)


def test_the_automatic_answer_is_the_one_of_postroom_vacation(server):
    browser, page = signed_in(server, "bob")
    text = "I am away.\r\n.\r\nBack on <Monday> & \"Söhne\" ${away}"
    answer = browser.send(page, "/account/vacation", message=text, subject="Away", **{"from": "2026-12-24", "until": "2027-01-02", "do": "on"})
    assert "The automatic answer is on." in answer.page.text
    shown = server.json("vacation", "show", server.address("bob"))
    shown = shown[0] if isinstance(shown, list) else shown
    assert (shown["on"], shown["subject"], shown["from"], shown["until"]) == (True, "Away", "2026-12-24", "2027-01-02")
    form = answer.page.forms["/account/vacation"][0]
    assert form["message"].split() == text.split() and form["until"] == "2027-01-02"
    wrong = browser.send(answer.page, "/account/vacation", message="kept", until="2026-01-01", do="on")
    assert wrong.status == 400 and "The last day is before the first." in wrong.page.text
    assert wrong.page.forms["/account/vacation"][0]["message"] == "kept"
    off = browser.send(answer.page, "/account/vacation", do="off")
    assert "The automatic answer is off." in off.page.text
    assert server.json("vacation", "show", server.address("bob")) != shown


def test_quota_is_shown(server):
    server.postroom("quota", "set", server.address("alice"), "10M", "500")
    text = signed_in(server, "alice")[1].text
    assert "of 10.0 MB used (0 %)" in text and "At most 500 messages." in text


def test_another_password_another_state_and_kick_end_the_visits(server):
    server.add_account("dora")
    browser, _ = signed_in(server, "dora")
    server.postroom("kick", server.address("dora"))
    assert not is_signed_in(browser)
    browser, _ = signed_in(server, "dora")
    server.postroom("account", "password", server.address("dora"), "--password-stdin", input="another one 4711\n")
    assert not is_signed_in(browser)
    server.passwords[server.address("dora")] = "another one 4711"
    browser, page = signed_in(server, "dora")
    server.postroom("account", "set", server.address("dora"), "--state", "disabled", "--message", "Ask <Eve>")
    assert browser.send(page, "/account/app-password", follow=False, label="late").headers["Location"] == "/account"
    assert not is_signed_in(browser) and server.json("app-password", "list", server.address("dora")) == []
    assert "Ask <Eve>" in browser.sign_in("dora").page.text
    # What is for mail programs only does not keep people from their page.
    server.postroom("account", "set", server.address("dora"), "--state", "active", "--password-protocols", "none")
    signed_in(server, "dora")


def test_only_by_tls_and_only_by_the_right_method(server):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", server.port("http"), timeout=postroom.DEADLINE_S)
    connection.request("GET", "/account", headers={"Host": "mail.example.test"})
    answer = connection.getresponse()
    assert answer.status == 302 and urllib.parse.urlsplit(answer.headers["Location"]).scheme == "https"
    assert "Set-Cookie" not in answer.headers
    connection.close()
    browser = Browser(server)
    assert browser.get("/account/sign-out").status == 405 and browser.get("/postroom.css").status == 200


def profile_link(page_text):
    """The path of the link, which stands on the page as a link, as a text and as a picture."""
    link = re.search(r'<p class="link">https://([^/]+)(/account/profile/[a-z0-9]{32})</p>', page_text)
    assert f'href="https://{link.group(1)}{link.group(2)}"' in page_text and '<svg class="qr"' in page_text
    return link.group(1), link.group(2)


def test_a_phone_sets_itself_up_by_a_link_that_is_good_once(server):
    server.add_account("phoebe")
    address = server.address("phoebe")
    browser, page = signed_in(server, "phoebe")
    made = browser.send(page, "/account/phone", label="iPhone")
    host, path = profile_link(made.text)
    assert host == f"example.test:{server.port('https')}" and "script" not in {tag for tag, _ in made.page.tags}
    assert path not in browser.get().text                       # shown once
    assert server.json("app-password", "list", address) == []   # made when it is followed, not before
    phone = Browser(server)
    assert phone.ask("HEAD", path).status == 200
    answer = phone.get(path)
    assert answer.status == 200 and answer.headers.get_content_type() == "application/x-apple-aspen-config"
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Content-Disposition"].endswith('"example.test.mobileconfig"')
    mail, = plistlib.loads(answer.text.encode())["PayloadContent"]
    assert mail["EmailAddress"] == mail["IncomingMailServerUsername"] == address
    password = mail["IncomingPassword"]
    assert password != server.password("phoebe")
    with imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context()) as imap:
        imap.login(address, password)
    again = phone.get(path)
    assert again.status == 404 and "This link has been used, or is too old" in again.page.text
    assert phone.get("/account/profile/" + "a" * 32).status == 404
    # A second one of that name has a number, and an own password.
    _, path = profile_link(browser.send(browser.get().page, "/account/phone", label="iPhone").text)
    assert plistlib.loads(phone.get(path).text.encode())["PayloadContent"][0]["IncomingPassword"] != password
    assert [row["label"] for row in server.json("app-password", "list", address)] == ["iPhone", "iPhone 2"]
    # Links end with what made the visit good, and there are not many in a short time.
    _, path = profile_link(browser.send(browser.get().page, "/account/phone", label="late").text)
    server.postroom("account", "set", address, "--state", "nologin")
    assert phone.get(path).status == 404
    server.postroom("account", "set", address, "--state", "active")
    browser, page = signed_in(server, "phoebe")
    for _ in range(2):
        browser.send(page, "/account/phone", label="x")
    assert "There were many links a moment ago" in browser.send(page, "/account/phone", label="x").page.text
    assert len(server.json("app-password", "list", address)) == 2
    # Neither the password nor the link is in the log.
    server.wait_log("event=web.profile ")
    assert password not in server.log() and path not in server.log()
