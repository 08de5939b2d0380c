"""Mail that other programs signed (python3-dkim: DKIM with RSA and Ed25519, ARC) comes in from strangers."""

import base64
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent
for folder in ("e2e/smtpd", "support"):
    sys.path.insert(0, str(HERE / folder))

import dns_server  # noqa: E402
import postroom  # noqa: E402
from dialogue import only_file  # noqa: E402
from strangers import CONF, message, results, send  # noqa: E402


@pytest.fixture(scope="module")
def dkim():
    return pytest.importorskip("dkim", reason="dkim is not installed (package python3-dkim): ./quickstart peers")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """(private PEM, public record) of an RSA key."""
    pem = tmp_path_factory.mktemp("keys") / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", pem, "2048"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "rsa", "-in", pem, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    return pem.read_bytes(), "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()


@pytest.fixture(scope="module")
def mx(keys):
    with dns_server.DnsServer() as dns:
        for name in ("signed", "strict", "list"):
            dns.add(f"{name}.example", "A", "192.0.2.1").add(f"s1._domainkey.{name}.example", "TXT", keys[1])
        dns.add("strict.example", "TXT", "v=spf1 -all").add("_dmarc.strict.example", "TXT", "v=DMARC1; p=reject")
        dns.add("_dmarc.signed.example", "TXT", "v=DMARC1; p=reject; adkim=s")
        dns.add("list.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
        with postroom.Instance(accounts=("alice",), conf=CONF + dns.conf() + "arc-trusted list.example\n") as instance:
            instance.dns = dns
            instance.start(only="smtpd")
            yield instance


@pytest.fixture
def user(mx):
    user.count = getattr(user, "count", 0) + 1
    mx.add_account(f"user{user.count}")
    return f"user{user.count}"


def signed(dkim, keys, octets, domain, **more):
    return dkim.sign(octets, b"s1", domain.encode(), keys[0], include_headers=[b"From", b"Subject"], **more) + octets


def test_a_signature_of_the_author_is_dmarc_pass(dkim, mx, keys, user):
    octets = signed(dkim, keys, message("joe@signed.example"), "signed.example")
    assert send(mx, user, "x@list.example", octets=octets)[0] == 250
    stored = only_file(mx, user)
    found = results(stored)
    assert re.match(r"dkim=pass header\.d=signed\.example header\.s=s1 header\.a=rsa-sha256 header\.b=", found["dkim"])
    assert found["dmarc"] == "dmarc=pass (p=reject) header.from=signed.example"
    assert stored.endswith(octets)


@pytest.mark.parametrize("change", ["body", "subject", "length", "absent-key"])
def test_a_signature_that_does_not_hold_is_dmarc_fail(dkim, mx, keys, user, change):
    octets = message("joe@signed.example")
    if change == "length":
        octets = signed(dkim, keys, octets, "signed.example", length=True) + b"and more\r\n"
    elif change == "absent-key":
        octets = dkim.sign(octets, b"s2", b"signed.example", keys[0]) + octets
    else:
        octets = signed(dkim, keys, octets, "signed.example")
        octets = octets.replace(*((b"Hello", b"Hallo") if change == "body" else (b"Subject: Test", b"Subject: Tost")))
    code, text = send(mx, user, "x@list.example", octets=octets)
    assert code == 550 and "signed.example did not send this" in text


def test_a_large_signed_message_is_verified_as_it_streams(dkim, mx, keys, user):
    body = "".join(f"line {i} of a long message that does not fit a window\r\n" for i in range(60000))
    octets = signed(dkim, keys, message("joe@signed.example", body=body), "signed.example")
    assert send(mx, user, "x@list.example", octets=octets)[0] == 250
    stored = only_file(mx, user)
    assert stored.endswith(octets) and results(stored)["dkim"].startswith("dkim=pass")


@pytest.mark.parametrize("count", [40, 1000])
def test_a_thousand_signatures_are_no_more_work_than_ten(dkim, mx, user, count):
    forged = b"".join(b"DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n" % i
                      for i in range(count))
    assert send(mx, user, "x@list.example", octets=forged + message("x@list.example"))[0] == 250
    header = only_file(mx, user).split(b"\r\nReceived:")[0]
    assert header.count(b"dkim=") <= 10
    assert mx.dns.asked("s._domainkey.d11.example") == 0


def arc_sealed(dkim, keys, octets, domain, authres):
    octets = b"Authentication-Results: " + domain.encode() + b"; " + authres + b"\r\n" + octets
    return b"".join(dkim.arc_sign(octets, b"s1", domain.encode(), keys[0], domain.encode(),
                                  include_headers=[b"from", b"subject"])) + octets


def test_a_trusted_list_that_saw_dmarc_pass_vouches_for_the_author(dkim, mx, keys, user):
    octets = arc_sealed(dkim, keys, message("joe@strict.example"), "list.example", b"dmarc=pass header.from=strict.example")
    assert send(mx, user, "bounces@list.example", octets=octets)[0] == 250
    found = results(only_file(mx, user))
    assert found["arc"] == "arc=pass (i=1, trusted)"
    assert found["dmarc"].startswith("dmarc=fail")


@pytest.mark.parametrize("domain,authres", [("signed.example", b"dmarc=pass"), ("list.example", b"dmarc=fail")])
def test_other_seals_vouch_for_nobody(dkim, mx, keys, user, domain, authres):
    octets = arc_sealed(dkim, keys, message("joe@strict.example"), domain, authres)
    assert send(mx, user, "bounces@list.example", octets=octets)[0] == 550
