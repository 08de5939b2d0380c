"""postroom dns: the records that a domain needs, and which of those in the DNS are wrong. The name server is a table."""

import pathlib
import re
import sys

import pytest

import postroom

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))
import dns_server  # noqa: E402

DOMAIN = "corp.example"


def publish(dns, server, domain=DOMAIN):
    """All records, as an administrator would enter them."""
    records = server.json("dns", domain)["records"]
    for record in records:
        dns.add(record["name"], record["type"], record.get("text", record["value"]))
    return records


def findings(server, *args):
    done = server.run("dns", DOMAIN, "--check", "--json", *args)
    found = postroom.json.loads(done.stdout)["findings"]
    return done.returncode, [f for f in found if f["state"] not in ("good", "advice")]


@pytest.fixture(scope="module")
def table():
    with dns_server.DnsServer() as server:
        yield server


@pytest.fixture
def dns(table):
    yield table
    table.records.clear()
    table.modes.clear()


@pytest.fixture(scope="module")
def server(table):
    with postroom.Instance(domain=DOMAIN, web=True, conf=table.conf() + "bind 127.0.0.1\ndns-timeout 2s\n"
                           "acme-directory https://acme-v02.api.letsencrypt.org/directory\n") as instance:
        yield instance


def test_records_for_a_form_a_zone_file_and_a_program(server):
    table = server.postroom("dns", DOMAIN)
    assert re.search(r"^MX +@ +10 mail\.corp\.example\.$", table, re.M), table
    assert '"v=spf1 mx -all"' in table
    for line in table.splitlines():
        assert line == line.rstrip(), f"a space at the end: {line!r}"
        for string in re.findall(r'"([^"]*)"', line):
            assert len(string) <= 255
    assert re.search(r'rsa1\._domainkey\n    "v=DKIM1; k=rsa; p=\S+" "\S+"', table), "a long text is cut for the form"
    kinds = {record["kind"] for record in server.json("dns", DOMAIN)["records"]}
    assert kinds >= {"address", "mx", "spf", "dkim", "dmarc", "tlsrpt", "tlsa", "srv", "srv-none", "caa",
                     "mta-sts", "mta-sts-host", "discovery"}
    zone = server.postroom("dns", DOMAIN, "--format", "zone")
    assert f"_imaps._tcp.{DOMAIN}. 3600 IN SRV 0 1 {postroom.PORTS['imaps'] + server.offset} mail.{DOMAIN}." in zone
    assert f"_imap._tcp.{DOMAIN}. 3600 IN SRV 0 0 0 ." in zone
    assert server.run("dns", "elsewhere.example").returncode == 3
    assert server.run("dns", DOMAIN, "--format", "xml").returncode == 2


def test_what_was_entered_is_found_right_whoever_is_asked(server, dns):
    publish(dns, server)
    assert findings(server) == (0, []), server.run("dns", DOMAIN, "--check").stdout
    assert findings(server, "--server", f"127.0.0.1@{dns.port}") == (0, [])
    text = server.postroom("dns", DOMAIN, "--check", "--all")
    assert "good     MX corp.example: 10 mail.corp.example." in text



@pytest.mark.parametrize("subject,state,change", [
    ("address of mail.corp.example", "fault", lambda dns: dns.remove("mail." + DOMAIN, "A")),
    ("MX corp.example", "fault", lambda dns: dns.remove(DOMAIN, "MX")),
    ("TXT corp.example", "fault", lambda dns: dns.remove(DOMAIN, "TXT")),
    ("TXT corp.example", "fault", lambda dns: dns.add(DOMAIN, "TXT", "v=spf1 ip4:192.0.2.1 -all")),
    ("TXT rsa1._domainkey.corp.example", "fault", lambda dns: dns.remove("rsa1._domainkey." + DOMAIN)),
    ("TXT _dmarc.corp.example", "fault", lambda dns: dns.remove("_dmarc." + DOMAIN)),
    ("TXT _smtp._tls.corp.example", "warning", lambda dns: dns.remove("_smtp._tls." + DOMAIN)),
    ("SRV _imaps._tcp.corp.example", "warning", lambda dns: dns.remove("_imaps._tcp." + DOMAIN)),
    ("TXT _mta-sts.corp.example", "warning", lambda dns: (
        dns.remove("_mta-sts." + DOMAIN), dns.add("_mta-sts." + DOMAIN, "TXT", "v=STSv1; id=1"))),
    ("CNAME autoconfig.corp.example", "warning", lambda dns: (
        dns.remove("autoconfig." + DOMAIN), dns.add("autoconfig." + DOMAIN, "A", "192.0.2.7"))),
    ("TLSA _25._tcp.mail.corp.example", "fault", lambda dns: (
        dns.remove("_25._tcp.mail." + DOMAIN), dns.add("_25._tcp.mail." + DOMAIN, "TLSA", "3 1 1 " + "00" * 32))),
])
def test_one_wrong_record_is_named_and_no_other(server, dns, subject, state, change):
    publish(dns, server)
    change(dns)
    for where in ((), ("--server", f"127.0.0.1@{dns.port}")):
        code, wrong = findings(server, *where)
        assert code == 1
        assert [(f["subject"], f["state"]) for f in wrong] == [(subject, state)], wrong
        assert wrong[0]["meanwhile"] and wrong[0]["mend"]


def test_a_server_that_says_nothing_is_not_taken_for_an_empty_zone(server, dns):
    publish(dns, server)
    dns.misbehave(DOMAIN, "refused")
    code, wrong = findings(server, "--server", f"127.0.0.1@{dns.port}")
    assert code == 4
    assert {f["state"] for f in wrong} == {"unknown"}, wrong
