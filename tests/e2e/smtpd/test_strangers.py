"""Mail from strangers: what the DNS says about them, what is written into the header, and what is refused for it.

The client is 127.0.0.x, which `exempt-networks never` makes a stranger; the DNS is a table (tests/support/dns_server.py)."""

import re

import pytest

import dns_server
import postroom
from dialogue import only_file
from strangers import CONF, message, results, send, stranger

@pytest.fixture(scope="module")
def dns():
    with dns_server.DnsServer() as server:
        server.add_reverse("127.0.0.1", "localhost")
        for name in ("good", "strict", "quarantine", "nopolicy", "forwarded"):
            server.add(f"{name}.example", "MX", f"10 mail.{name}.example")
            server.add(f"{name}.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        server.add("_dmarc.good.example", "TXT", "v=DMARC1; p=reject")
        server.add("_dmarc.strict.example", "TXT", "v=DMARC1; p=reject")
        server.add("_dmarc.quarantine.example", "TXT", "v=DMARC1; p=quarantine")
        server.add("_dmarc.excepted.example", "TXT", "v=DMARC1; p=reject")
        server.add("soft.example", "TXT", "v=spf1 ~all").add("soft.example", "A", "192.0.2.1")
        server.add("nullmx.example", "MX", "0 .")
        server.add("plain.example", "A", "192.0.2.1")
        server.add("evil.example", "TXT", "v=spf1 +all").add("evil.example", "A", "192.0.2.66")
        server.add("explained.example", "TXT", "v=spf1 -all exp=why.explained.example")
        server.add("explained.example", "A", "192.0.2.1").add("why.explained.example", "TXT", "Ask %{r} about %{i}")
        yield server


@pytest.fixture(scope="module")
def mx(dns):
    with postroom.Instance(accounts=("alice", "bob"), conf=CONF + dns.conf() +
                           "dmarc-exceptions excepted.example=none local.example=reject\n") as instance:
        instance.start(only="smtpd")
        yield instance


@pytest.fixture
def user(mx):
    user.count = getattr(user, "count", 0) + 1
    name = f"user{user.count}"
    mx.add_account(name)
    return name


def test_spf_and_dmarc_pass_and_it_is_written(mx, user):
    assert send(mx, user, "joe@good.example")[0] == 250
    octets = only_file(mx, user)
    assert octets.startswith(b"Return-Path: <joe@good.example>\r\nAuthentication-Results: mail.example.test;\r\n")
    found = results(octets)
    assert found["spf"] == "spf=pass smtp.mailfrom=joe@good.example"
    assert found["dmarc"] == "dmarc=pass (p=reject) header.from=good.example"
    assert found["iprev"] == "iprev=pass policy.iprev=127.0.0.1 policy.name=localhost"


def test_a_subdomain_of_the_author_is_aligned(mx, user, dns):
    dns.add("bounce.good.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("bounce.good.example", "A", "192.0.2.1")
    assert send(mx, user, "x@bounce.good.example", "joe@good.example")[0] == 250
    assert results(only_file(mx, user))["dmarc"].startswith("dmarc=pass")


def test_a_forged_author_is_refused_as_his_domain_asks(mx, user):
    code, text = send(mx, user, "x@evil.example", "ceo@strict.example")
    assert (code, text[:5]) == (550, "5.7.1")
    assert "strict.example did not send this message" in text
    assert mx.files(user) == [] and mx.files(user, "Junk") == []
    assert re.search(r"event=smtp\.finding .*check=dmarc action=reject", mx.log())
    assert re.search(r"event=smtp\.reject .*check=dmarc", mx.log())


def test_quarantine_is_junk_with_the_reason_in_the_header(mx, user):
    assert send(mx, user, "x@evil.example", "ceo@quarantine.example")[0] == 250
    assert mx.files(user) == []
    octets = only_file(mx, user, "Junk")
    assert b"\r\nX-Postroom-Junk: dmarc (Domain quarantine.example did not send this message (DMARC p=quarantine))\r\n" in octets
    assert results(octets)["dmarc"] == "dmarc=fail (p=quarantine) header.from=quarantine.example"


def test_local_exceptions_come_before_the_published_policy(mx, user, dns):
    dns.add("local.example", "A", "192.0.2.1")
    assert send(mx, user, "x@evil.example", "a@sub.excepted.example")[0] == 250
    assert len(mx.files(user)) == 1
    assert send(mx, user, "x@evil.example", "a@local.example")[0] == 550


def test_spf_fail_without_dmarc_is_junk_and_the_domain_may_explain(mx, user):
    assert send(mx, user, "joe@nopolicy.example", source="127.0.0.9")[0] == 250
    assert b"X-Postroom-Junk: spf (" in only_file(mx, user, "Junk")
    assert send(mx, user, "joe@explained.example")[0] == 250
    assert b"it says: Ask mail.example.test about" in b" ".join(mx.files(user, "Junk")[1].read_bytes().split(b"\r\n "))


def test_softfail_is_only_logged(mx, user):
    assert send(mx, user, "joe@soft.example")[0] == 250
    assert results(only_file(mx, user))["spf"].startswith("spf=softfail")
    assert re.search(r"event=smtp\.finding .*check=spf action=log", mx.log())


def test_a_sender_whose_domain_does_not_exist_is_junk(mx, user):
    assert send(mx, user, "joe@absent.example")[0] == 250
    assert b"sender-domain (Domain absent.example has neither MX nor address records)" in only_file(mx, user, "Junk")


def test_a_domain_that_has_no_mail_sends_none(mx, user):
    code, text = send(mx, user, "joe@nullmx.example")
    assert (code, text[:6]) == (550, "5.7.27")


def test_the_null_sender_is_asked_for_by_its_helo(mx, user, dns):
    dns.add("mail.helo.example", "TXT", "v=spf1 ip4:127.0.0.1 -all").add("_dmarc.helo.example", "TXT", "v=DMARC1; p=reject")
    assert send(mx, user, "", "mailer-daemon@helo.example", helo="mail.helo.example")[0] == 250
    found = results(only_file(mx, user))
    assert found["spf"] == "spf=pass smtp.helo=mail.helo.example"
    assert found["dmarc"].startswith("dmarc=pass")


@pytest.mark.parametrize("froms", [
    "", "From: <a@good.example>\r\nFrom: <b@good.example>\r\n", "From: <a@good.example>, <b@strict.example>\r\n",
    "From: nobody\r\n"])
def test_a_message_without_exactly_one_author_is_refused(mx, user, froms):
    octets = (froms + "Subject: x\r\n\r\nHello.\r\n").encode()
    code, text = send(mx, user, "a@good.example", octets=octets)
    assert (code, text[:5]) == (550, "5.6.0"), text


def test_forged_results_are_taken_out_and_foreign_ones_stay(mx, user):
    extra = ("Authentication-Results: mail.example.test; dmarc=pass\r\n"
             "authentication-results: MAIL.example.TEST (really) 1;\r\n\tspf=pass\r\n"
             "Authentication-Results: other.example; spf=pass\r\n"
             "X-Postroom-Junk: not at all\r\n")
    body = "Authentication-Results: mail.example.test; in the body\r\n" + "line\r\n" * 30000
    assert send(mx, user, "joe@good.example", octets=message("joe@good.example", extra, body))[0] == 250
    octets = only_file(mx, user)
    header, content = octets.split(b"\r\n\r\n", 1)
    assert header.count(b"mail.example.test;") == 1
    assert b"Authentication-Results: other.example; spf=pass\r\n" in octets and b"X-Postroom-Junk" not in header
    assert content == body.encode()


@pytest.mark.parametrize("mode", ["servfail", "refused", "silent", "garbage", "cut", "loop", "truncate-both", "wrong-id"])
def test_a_dns_that_fails_is_no_reason_to_refuse(dns, make_server, mode):
    server = make_server(CONF + dns.conf() + "dns-timeout 1s\n")
    dns.add(f"{mode}.example", "TXT", "v=spf1 -all").add(f"{mode}.example", "A", "192.0.2.1")
    dns.misbehave(f"{mode}.example", mode)
    assert send(server, "alice", f"joe@{mode}.example")[0] == 250
    found = results(only_file(server, "alice"))
    assert found["spf"].startswith("spf=temperror"), found
    assert found["dmarc"].startswith("dmarc=temperror"), found


def test_an_answer_that_fits_tcp_only_is_asked_for_by_tcp(mx, user, dns):
    dns.add("big.example", "TXT", *["filler " + "x" * 200 + str(i) for i in range(20)], "v=spf1 ip4:127.0.0.1 -all")
    dns.add("big.example", "A", "192.0.2.1")
    assert send(mx, user, "joe@big.example")[0] == 250
    assert results(only_file(mx, user))["spf"] == "spf=pass smtp.mailfrom=joe@big.example"


def test_lists_of_addresses_have_weights(dns, make_server):
    server = make_server(CONF + dns.conf() + "dns-lists bl.example=2 more.example=1 wl.example=-2 broken-list.example=5\n"
                         "dns-list-weight 2\n")
    dns.add("2.0.0.127.bl.example", "A", "127.0.0.2")
    dns.add("3.0.0.127.bl.example", "A", "127.0.0.3").add("3.0.0.127.wl.example", "A", "127.0.0.3")
    dns.add("4.0.0.127.more.example", "A", "127.0.0.4").add("4.0.0.127.broken-list.example", "A", "127.255.255.254")
    code, text = send(server, "alice", "joe@plain.example", source="127.0.0.2")
    assert code == 550 and "127.0.0.2 is listed: bl.example=127.0.0.2" in text
    assert send(server, "alice", "joe@plain.example", source="127.0.0.3")[0] == 250
    assert send(server, "alice", "joe@plain.example", source="127.0.0.4")[0] == 250
    server.wait_log("event=dns-list.refused")
    dns.misbehave("bl.example", "silent")
    assert send(server, "alice", "joe@plain.example", source="127.0.0.5")[0] == 250


@pytest.mark.parametrize("action,code,place", [("off", 250, ""), ("log", 250, ""), ("junk", 250, "Junk"), ("defer", 451, None),
                                              ("reject", 550, None)])
def test_each_action_does_what_it_says(dns, make_server, action, code, place):
    server = make_server(CONF + dns.conf() + f"check-helo {action}\n")
    answer, text = send(server, "alice", "joe@plain.example", helo="mail.example.test")
    assert answer == code
    assert (len(server.files("alice", place)) == 1) if place is not None else "You are not mail.example.test" in text
    assert ("check=helo" in server.log()) == (action != "off")


def test_our_own_networks_are_not_asked(dns, make_server):
    server = make_server("smtp-banner-delay 0s\n" + dns.conf())
    assert send(server, "alice", "joe@strict.example", source="127.0.0.9")[0] == 250
    assert b"Authentication-Results" not in only_file(server, "alice")


def test_a_sender_who_leaves_while_the_dns_is_asked_costs_nothing(dns, make_server):
    server = make_server(CONF + dns.conf())
    dns.misbehave("waiting.example", "silent")
    for _ in range(20):
        with stranger(server) as line:
            line.send("MAIL FROM:<a@waiting.example>\r\n")
    assert send(server, "alice", "joe@good.example")[0] == 250


def test_a_suspect_has_to_come_again(dns, make_server):
    dns.add("grey.example", "TXT", "v=spf1 ~all").add("grey.example", "A", "192.0.2.1")
    server = make_server(CONF + dns.conf() + "check-greylist defer\ngreylist-wait 2s\n")

    def rcpt(sender, source="127.0.0.3"):
        with stranger(server, source) as line:
            assert line.smtp(f"MAIL FROM:<{sender}>") == 250
            return line.smtp("RCPT TO:<alice@example.test>")
    assert rcpt("joe@grey.example") == 451
    assert rcpt("joe@grey.example") == 451
    assert rcpt("joe@good.example", "127.0.0.1") == 250         # SPF passes: no suspect
    postroom.wait_for("it is let in", lambda: rcpt("joe@grey.example") == 250)
    assert rcpt("joe@grey.example", "127.0.0.4") == 250         # the same network
    server.restart()
    assert rcpt("joe@grey.example") == 250
    server.wait_log('check=greylist action=defer reason="Not known yet: try again in 2 seconds"')


def test_a_header_of_a_megabyte_hides_no_author(mx, user):
    """What stands behind all that is read of a header is nobody's word."""
    noise = ("X-Noise: " + "n" * 980 + "\r\n") * 1100
    for first, last in (("", "From: <joe@good.example>\r\n"), ("From: <joe@good.example>\r\n", "From: <ceo@strict.example>\r\n")):
        code, text = send(mx, user, "joe@good.example", octets=(first + noise + last + "Subject: x\r\n\r\nHello.\r\n").encode())
        assert (code, text[:5]) == (550, "5.6.0") and "too long" in text, (first, text)
    hidden = "From: joe@good.example,\r\n" + (" " * 900 + "\r\n") * 120 + " ceo@strict.example\r\n"
    code, text = send(mx, user, "joe@good.example", octets=(hidden + "Subject: x\r\n\r\nHello.\r\n").encode())
    assert (code, text[:5]) == (550, "5.6.0"), text


def test_trace_tells_what_was_found_out_and_why_it_was_refused(mx, user):
    assert send(mx, user, "traced@evil.example", "ceo@strict.example")[0] == 550
    assert send(mx, user, "traced@good.example")[0] == 250
    with stranger(mx) as line:
        assert line.smtp("MAIL FROM:<guessing@good.example>") == 250
        assert line.smtp("RCPT TO:<nobody-of-that-name@example.test>") == 550

    def told(what, word):
        """Events are written once a second."""
        def text():
            out = mx.run("trace", what).stdout
            return out if word in out else None
        return postroom.wait_for(f"trace {what} says {word!r}", text)
    to = mx.address(user)
    refused = told("traced@evil.example", "refused:")
    for words in (f"refused: 127.0.0.1 on mx: from <traced@evil.example> to <{to}>: 550 Domain strict.example did not send this message "
                  "(DMARC p=reject) (check dmarc)", "DNS and signatures: iprev=pass policy.iprev=127.0.0.1 policy.name=localhost; spf=pass "
                  "smtp.mailfrom=traced@evil.example; dkim=none; dmarc=fail (p=reject) header.from=strict.example",
                  "checks: dmarc: Domain strict.example did not send this message (DMARC p=reject) (reject)"):
        assert words in refused, refused
    accepted = told("traced@good.example", "delivered to")
    for words in ("accepted from 127.0.0.1 on mx", "spf=pass smtp.mailfrom=traced@good.example", "dmarc=pass (p=reject) header.from=good.example"):
        assert words in accepted, accepted
    unknown = told("nobody-of-that-name@example.test", "refused:")
    assert "550 No such user here (check relay)" in unknown and "spf=pass smtp.mailfrom=guessing@good.example" in unknown, unknown
