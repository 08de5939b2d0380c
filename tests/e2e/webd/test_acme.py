"""Certificates by ACME (RFC 8555), from Let's Encrypt's test server `pebble` (Debian), which refuses one nonce in five and asks the web front for
the proofs. Nothing of it leaves this machine."""

import base64
import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess

import pytest

import dns_server
import https_server
import postroom
from pebble import Pebble

pytestmark = [pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so"),
              pytest.mark.skipif(not shutil.which("pebble"), reason="pebble is missing: ./quickstart peers")]

NAMES = ("mail.example.test", "autoconfig.example.test", "mta-sts.example.test")


@contextlib.contextmanager
def make_world(tmp_path, by_tls=False, names="hostname autoconfig.example.test mta-sts.example.test", unseen=()):
    """`unseen`: names that lead here for us, and nowhere for the authority."""
    with https_server.Authority() as authority, dns_server.DnsServer() as dns, dns_server.DnsServer() as their_dns, \
            postroom.Instance(web=True, accounts=("alice",), conf=dns.conf()) as instance:
        for name in NAMES + ("acme.example",):
            dns.add(name, "A", "127.0.0.1")
            if name not in unseen:
                their_dns.add(name, "A", "127.0.0.1")
        pebble = Pebble(tmp_path, authority, f"127.0.0.1:{their_dns.port if unseen else dns.port}", 1 if by_tls else instance.port("http"), tls_port=instance.port("https") if by_tls else 1)
        with open(authority.file, "a", encoding="ascii") as believed:
            believed.write(pebble.root(authority))
        with open(instance.root / "postroom.conf", "a", encoding="utf-8") as conf:
            conf.write(f"fetch-private-addresses yes\nrelay-ca-file {authority.file}\nacme-directory {pebble.url}\n"
                       f"acme-contact postmaster@example.test\nacme-names {names}\n"
                       + ("acme-challenge tls-alpn-01\n" if by_tls else ""))
        instance.pebble, instance.folder, instance.authority, instance.dns = pebble, tmp_path, authority, dns
        try:
            yield instance
        finally:
            instance.pebble.stop()


@pytest.fixture
def world(tmp_path):
    """(instance, pebble, start): the instance's web front and imapd run, and its helper knows the authority."""
    with make_world(tmp_path) as instance:
        yield instance


def served(instance, listener="https"):
    """The certificate as a client sees it, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", instance.port(listener)), timeout=postroom.DEADLINE_S) as sock, context.wrap_socket(sock) as tls:
        return tls.getpeercert(binary_form=True)


def on_disk(instance):
    return ssl.PEM_cert_to_DER_cert(re.match(r"-----BEGIN.*?END CERTIFICATE-----\n", (instance.root / "tls" / "cert.pem").read_text(), re.S).group(0))


def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def deactivate(instance):
    """Close our account at the authority (RFC 8555 §7.3.6), with its own key."""
    key = instance.root / "tls" / "acme-account.pem"
    context = ssl.create_default_context(cafile=instance.authority.file)

    def openssl(*args, data=None):
        return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=True).stdout

    def call(method, path, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", instance.pebble.port, context=context, timeout=postroom.DEADLINE_S)
        connection._create_connection = lambda address, *args, **more: socket.create_connection(("127.0.0.1", address[1]), *args, **more)
        connection.host = "acme.example"
        connection.request(method, path, body=body, headers={"Content-Type": "application/jose+json"})
        response = connection.getresponse()
        response.read()
        return response

    def post(url, header, payload):
        for _ in range(20):                     # pebble refuses nonces
            nonce = call("HEAD", "/nonce-plz").headers["Replay-Nonce"]
            signed = base64url(json.dumps({"alg": "ES256", "nonce": nonce, "url": url, **header}).encode()) + "." + base64url(json.dumps(payload).encode())
            der = openssl("dgst", "-sha256", "-sign", key, data=signed.encode())
            first = der[4:4 + der[3]]
            second = der[6 + der[3]:]
            raw = b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))
            protected, payload_text = signed.split(".")
            response = call("POST", url.split(str(instance.pebble.port), 1)[1], json.dumps({"protected": protected, "payload": payload_text,
                                                                                         "signature": base64url(raw)}))
            if response.status < 400:
                return response
        raise AssertionError(instance.pebble.log()[-3000:])

    point = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")[-64:]
    jwk = {"crv": "P-256", "kty": "EC", "x": base64url(point[:32]), "y": base64url(point[32:])}
    base = f"https://acme.example:{instance.pebble.port}"
    account = post(base + "/sign-me-up", {"jwk": jwk}, {"onlyReturnExisting": True}).headers["Location"]
    post(account, {"kid": account}, {"status": "deactivated"})


def cert(instance):
    return instance.json("cert", "show")


def wait(instance, what, ready):
    try:
        postroom.wait_for(what, ready)
    except Exception as error:
        raise AssertionError(f"{error}\n{instance.log()[-6000:]}\n{instance.pebble.log()[-6000:]}") from error


def test_a_certificate_comes_by_itself_and_sessions_live_on(world):
    key = (world.root / "tls" / "key.pem").read_bytes()
    assert cert(world)["self_signed"]
    world.start()
    before = world.imap("alice")
    wait(world, "a certificate", lambda: not cert(world)["self_signed"])
    shown = cert(world)
    assert sorted(shown["names"]) == sorted(NAMES) and shown["days_left"] > 30
    assert (world.root / "tls" / "key.pem").read_bytes() == key           # TLSA records stay right
    for listener in ("https", "imaps", "submissions", "pop3s"):
        wait(world, f"{listener} serves it", lambda: served(world, listener) == on_disk(world))     # noqa: B023
    assert before.noop()[0] == "OK"                                         # RFC 8446: what was agreed on stays
    before.logout()
    assert (world.root / "tls" / "acme-account.pem").stat().st_mode & 0o777 == 0o600
    assert list((world.root / "tls" / "acme").iterdir()) == []              # proofs do not stay
    status = world.postroom("status")
    assert shown["fingerprint"] in status and "self-signed" not in status

    # a name that leads here and is not on it
    def web_names():
        return [row for row in json.loads(world.run("doctor", "--json").stdout)["findings"] if row["check"] == "web.names"]
    assert [row["state"] for row in web_names()] == ["good"]
    world.dns.add("autodiscover.example.test", "A", "127.0.0.1")
    assert [(row["state"], row["found"]) for row in web_names()] == [("warning", "it is not for autodiscover.example.test")]
    world.dns.remove("autodiscover.example.test", "A")

    # asked for again, whatever is left
    world.postroom("cert", "renew")
    assert cert(world)["fingerprint"] != shown["fingerprint"]

    # the account is closed at the authority: a new key, once, and the old one aside
    old = (world.root / "tls" / "acme-account.pem").read_bytes()
    deactivate(world)
    world.postroom("cert", "renew")
    assert (world.root / "tls" / "acme-account.pem").read_bytes() != old
    assert (world.root / "tls" / "acme-account.pem.old").read_bytes() == old

    # the authority has lost everything: the same key makes an account again
    old = (world.root / "tls" / "acme-account.pem").read_bytes()
    world.pebble.stop()
    world.pebble = Pebble(world.folder, world.authority, f"127.0.0.1:{world.dns.port}", world.port("http"), port=world.pebble.port)
    world.postroom("cert", "renew")
    assert (world.root / "tls" / "acme-account.pem").read_bytes() == old

    # a name that does not lead here: told plainly, and what there is stays
    now = cert(world)["fingerprint"]
    world.dns.remove("mta-sts.example.test", "A")
    refused = world.run("cert", "renew")
    assert refused.returncode == 1 and "mta-sts.example.test" in refused.stderr, refused.stderr
    assert cert(world)["fingerprint"] == now and "FAILED, again in 1" in cert(world)["renewed_by"]

    # an authority that is gone: likewise
    world.dns.add("mta-sts.example.test", "A", "127.0.0.1")
    world.pebble.stop()
    gone = world.run("cert", "renew")
    assert gone.returncode == 1 and "cannot be reached" in gone.stderr
    assert cert(world)["fingerprint"] == now
    assert json.loads(world.run("cert", "show", "--json").stdout)["days_left"] > 30


def test_a_domain_that_cannot_be_proven_takes_no_certificate_from_the_others(tmp_path):
    with make_world(tmp_path, names="hostname domains", unseen=("autoconfig.example.test",)) as world:
        world.start()
        wait(world, "a certificate", lambda: not cert(world)["self_signed"])
        assert sorted(cert(world)["names"]) == ["mail.example.test", "mta-sts.example.test"]
        wait(world, "it says so", lambda: re.search(r"event=acme.left_out name=autoconfig.example.test ", world.log()))


def ask_for_proof(instance, name, protocols):
    """The protocol that was agreed on, and whether the server then ends the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", instance.port("https")), timeout=postroom.DEADLINE_S) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            agreed = tls.selected_alpn_protocol()
            return agreed, tls.getpeercert(binary_form=True), tls.recv(1) == b"" if agreed == "acme-tls/1" else False


def test_names_are_proven_by_tls_where_port_80_is_shut(tmp_path):
    """RFC 8737: the authority looks at port 443 only, and what it is shown is shown to nobody who asks for anything else."""
    with make_world(tmp_path, by_tls=True) as world:
        world.start()
        wait(world, "a certificate", lambda: not cert(world)["self_signed"])
        assert sorted(cert(world)["names"]) == sorted(NAMES)
        wait(world, "https serves it", lambda: served(world) == on_disk(world))
        proofs = world.root / "tls" / "acme"
        assert list(proofs.iterdir()) == []                             # proofs do not stay
        # A proof that lies there is for this protocol and name alone.
        openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=proof", "-days", "1"]
        made = subprocess.run([*openssl, "-keyout", "-", "-out", "-"], capture_output=True, check=True).stdout
        (proofs / "alpn-mail.example.test.pem").write_bytes(made)
        agreed, shown, ended = ask_for_proof(world, "mail.example.test", ["acme-tls/1"])
        assert agreed == "acme-tls/1" and ended and shown != on_disk(world)
        assert ask_for_proof(world, "mail.example.test", ["http/1.1"])[:2] == ("http/1.1", on_disk(world))
        assert ask_for_proof(world, "mail.example.test", ["acme-tls/1", "http/1.1"])[:2] == ("http/1.1", on_disk(world))
        for name in ("mta-sts.example.test", "other.example"):
            with pytest.raises(ssl.SSLError):
                ask_for_proof(world, name, ["acme-tls/1"])
        (proofs / "alpn-mail.example.test.pem").unlink()


def test_behind_a_web_server_its_certificate_is_the_one_that_counts(tmp_path):
    """Ours listens elsewhere, and has a certificate without these names; who asks for them meets the one that has the usual port."""
    names = ("mta-sts.example.test", "autoconfig.example.test", "autodiscover.example.test")
    with https_server.Authority() as authority, dns_server.DnsServer() as dns, \
            postroom.Instance(web=True, conf=dns.conf() + f"relay-ca-file {authority.file}\n") as instance:
        for name in ("mail.example.test", *names):
            dns.add(name, "A", "127.0.0.1")
        own = postroom.free_port()
        with open(instance.root / "postroom.conf", "a", encoding="utf-8") as conf:
            conf.write(f"listener web {{\n kind https\n address 127.0.0.1\n port {own}\n}}\n")
        chain, key = authority.certificate("mail.example.test")
        shutil.copy(chain, instance.root / "tls" / "cert.pem")
        shutil.copy(key, instance.root / "tls" / "key.pem")

        def web_names():
            return [(row["state"], row["mend"]) for row in json.loads(instance.run("doctor", "--json").stdout)["findings"] if row["check"] == "web.names"]
        assert web_names() == []                                        # nobody is there: nothing is known
        at = ("127.0.0.1", 443 + instance.offset)
        with https_server.HttpsServer(authority, names, at):
            assert [state for state, _ in web_names()] == ["good"]
        with https_server.HttpsServer(authority, names[1:], at):
            (state, mend), = web_names()
            assert state == "warning" and mend.startswith("another program has the port"), mend
