"""What a Dovecot and a Postfix may be set to, and what `import dovecot` makes of it: passwords that work, nobody let in who was kept
out, no address that goes missing without a word. Only their files are needed; tests/interop has the programs themselves."""

import imaplib
import json
import os

import pytest

import postroom

CLEAR = "a long password in clear"
SSHA256 = "59KlIeAWMF3z+tfSyGOYTidWf+ugf+lV7e4z6K4pzj1JIotn"
PASSWORD = "pässword 1"

DOVECOT = """# 2.3.19.1 (9b53102964): {place}/dovecot.conf
mail_location = maildir:{place}/mail/%n:CONTROL={place}/control/%n
namespace {{
  location = maildir:{place}/public
  type = public
}}
passdb {{
  args = {place}/gone
  deny = yes
  driver = passwd-file
}}
passdb {{
  args = {place}/masters
  driver = passwd-file
  master = yes
}}
passdb {{
  args = scheme=SSHA256 {place}/users
  driver = passwd-file
}}
plugin {{
  sieve_before = {place}/spam.sieve
}}
"""
USERS = f"""dora@example.org:{SSHA256}::::::
emil@example.org:{{PLAIN}}{CLEAR}::::::allow_nets=10.0.0.0/8
fred@example.org:{SSHA256}::::::
gina@example.org:{SSHA256}::::::nologin=y
hugo@example.org:!{SSHA256}::::::
"""
MAIN_CF = """compatibility_level = 3.6
mydomain = example.org
virtual_mailbox_domains = $mydomain,example.net
virtual_mailbox_maps = hash:{place}/vmailbox
virtual_alias_maps = proxy:hash:{place}/virtual,hash:{place}/more
relayhost = [smtp.provider.example]:587
recipient_delimiter = -
message_size_limit = 104857600
always_bcc = archive@example.org
"""
VIRTUAL = """example.com anything
info@example.com dora@example.org
emil@example.org emil@example.org, emil@elsewhere.example
"""
MORE = """sales@example.net dora@example.org
"""
VMAILBOX = """dora@example.org dora/
old@example.org dora/
@example.net emil/
"""


FILES = {"dovecot.conf": DOVECOT, "main.cf": MAIN_CF, "users": USERS, "gone": "fred@example.org:\n", "virtual": VIRTUAL,
         "masters": f"root@example.org:{SSHA256}::::::\n", "more": MORE, "vmailbox": VMAILBOX}


def move(instance, place, *options, postfix=None, env=None):
    return instance.run("import", "dovecot", "--config", place / "dovecot.conf", "--postfix", postfix or place, "--json", *options, env=env)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The old server's folder, the instance, and what a dry run and the run said."""
    place = tmp_path_factory.mktemp("old")
    for name, text in FILES.items():
        (place / name).write_text(text.replace("{place}", str(place)).replace("{{", "{").replace("}}", "}"))
    for folder in ("cur", "new", "tmp"):
        (place / "mail/dora" / folder).mkdir(parents=True)
    (place / "mail/dora/cur/1700000000.M1P1.old:2,S").write_bytes(b"Subject: one\r\n\r\nx\r\n")
    (place / "control/dora/.INBOX").mkdir(parents=True)
    (place / "control/dora/.INBOX/dovecot-uidlist").write_text("3 V1700000001 N8 G0123456789abcdef0123456789abcdef\n7 :1700000000.M1P1.old\n")
    with postroom.Instance(domain="first.test") as instance:
        yield place, instance, move(instance, place, "--dry-run"), move(instance, place)


def log_in(instance, name, password):
    with imaplib.IMAP4_SSL("127.0.0.1", instance.port("imaps"), ssl_context=instance.tls_context()) as imap:
        imap.authenticate("PLAIN", lambda _: f"\0{name}@example.org\0{password}".encode())
        imap.select("INBOX", readonly=True)
        return imap.response("UIDVALIDITY")[1], imap.uid("SEARCH", "ALL")[1]


def test_a_dry_run_says_what_the_run_says(moved):
    _, _, dry, real = moved
    assert dry.returncode == real.returncode == 1
    assert dry.stderr == real.stderr


def test_passwords_work_and_who_was_kept_out_is_kept_out(moved):
    place, instance, _, done = moved
    accounts = {row["account"].partition("@")[0]: row["state"] for row in instance.json("account", "list")}
    assert accounts == {"dora": "active", "emil": "active", "fred": "nologin", "gina": "nologin", "hugo": "active"}
    for name, note in (("emil", "could log in from 10.0.0.0/8 only"), ("fred", "may not log in there"), ("gina", "may not log in there"),
                       ("hugo", "has no password there")):
        assert f"{name}@example.org {note}" in done.stderr, done.stderr
    assert CLEAR not in done.stderr and SSHA256 not in done.stderr
    instance.start(only="imapd")
    # The UID and UIDVALIDITY that stand in the list elsewhere.
    assert log_in(instance, "dora", PASSWORD) == ([b"1700000001"], [b"7"])
    log_in(instance, "emil", CLEAR)
    for name, password in (("fred", PASSWORD), ("hugo", f"!{SSHA256}")):
        with pytest.raises(imaplib.IMAP4.error):
            log_in(instance, name, password)
    # What an administrator changes here is not undone by another run.
    instance.postroom("account", "set", "fred@example.org", "--state", "active")
    move(instance, place)
    assert instance.json("account", "show", "fred@example.org")["state"] == "active"


def test_no_address_goes_missing_without_a_word(moved):
    place, instance, _, done = moved
    assert {row["domain"] for row in instance.json("domain", "list")} >= {"example.org", "example.net", "example.com"}
    aliases = {row["alias"]: row["targets"] for row in instance.json("alias", "list")}
    assert aliases == {"info@example.com": ["dora@example.org"], "sales@example.net": ["dora@example.org"]}
    assert "postroom rule add emil@example.org --forward emil@elsewhere.example --copy INBOX" in done.stderr
    for name in ("old@example.org", "@example.net"):
        assert f"virtual_mailbox_maps has {name}, which is no account" in done.stderr, done.stderr
    instance.postroom("rule", "add", "emil@example.org", "--forward", "emil@elsewhere.example", "--copy", "INBOX")
    assert 'redirect :copy "emil@elsewhere.example";' in instance.postroom("sieve", "get", "emil@example.org", "postroom")
    # An alias that goes elsewhere here is told, and stays.
    instance.postroom("alias", "set", "sales@example.net", "emil@example.org")
    assert "sales@example.net is here already and goes to other addresses" in move(instance, place).stderr


def test_settings_that_stay_behind_are_told_until_they_are_so_here(moved):
    place, instance, _, done = moved
    for words in ("relayhost = [smtp.provider.example]:587", "--smarthost smtp.provider.example:587",
                  "recipient_delimiter = -", "postroom domain set example.org --separator -", "message_size_limit = 104857600", "message-size 100M",
                  "always_bcc = archive@example.org: not taken over", f"{place}/public: public mailboxes", f"{place}/spam.sieve: a script",
                  f"{place}/masters: people who log in as others"):
        assert words in done.stderr, (words, done.stderr)
    for domain in ("example.org", "example.net", "example.com"):
        instance.postroom("domain", "set", domain, "--separator", "-")
    with (instance.root / "postroom.conf").open("a") as conf:
        conf.write("smarthosts *=smtp.provider.example:587\nmessage-size 100M\n")
    said = move(instance, place).stderr
    for words in ("relayhost", "recipient_delimiter", "message_size_limit"):
        assert words not in said, said


def test_without_postconf_names_in_settings_are_understood_and_waiting_mail_is_told(moved, tmp_path):
    place, instance, _, _ = moved
    for name in ("deferred/A/AB12", "active/CD34", "hold/EF56", "corrupt/1"):
        (tmp_path / "spool" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "spool" / name).write_text("")
    (tmp_path / "more").write_text(MORE.replace("example.net", "nowhere.example"))
    (tmp_path / "main.cf").write_text("mydomain = example.org\nqueue_directory = ${config_directory}/spool\n"
                                      "virtual_mailbox_domains = first.org\nvirtual_mailbox_domains = $mydomain, $nobody_said\n"
                                      "virtual_alias_maps = $default_database_type:${config_directory}/more\n")
    done = move(instance, place, "--dry-run", postfix=tmp_path, env={**os.environ, "PATH": "/nonexistent"})
    assert "virtual_mailbox_domains: $nobody_said is no list that can be read" in done.stderr and "$mydomain" not in done.stderr, done.stderr
    assert [row["for"] for row in json.loads(done.stdout) if row["what"] == "domain"] == ["example.org"]
    assert "more:1: there is no domain nowhere.example" in done.stderr
    assert "Postfix still holds 3 messages" in done.stderr
