"""`postroom apply`: what a file says becomes so, shown first, and a second time there is nothing to do."""

import pytest

import postroom

FILE = """
# who we are
domain example.test separator - catch-all bob@example.test
domain b\u00fccher.example
account alice@example.test quota 10G messages 100000
account bob@example.test protocols imap,submission
account Carol@Example.TEST disabled hash $6$saltsalt$pn.eNCAqRIao3pxsOGdjVa9wVR7Rb/3WnbxOluoQKVZPzLuyetx3yF6VIZDfQnn/arrFVfrq3BqRb9gLqhI5z0
account dora@xn--bcher-kva.example
alias info@example.test alice@example.test Someone@Elsewhere.Example
alias post@b\u00fccher.example dora@b\u00fccher.example
send-as alice@example.test press@example.net @example.org
"""


@pytest.fixture
def instance():
    with postroom.Instance(accounts=("alice", "eve")) as made:
        made.postroom("alias", "add", "old@example.test", "alice@example.test")
        yield made


def apply(instance, text, *options):
    path = instance.root / "wanted"
    path.write_text(text, encoding="utf-8")
    return instance.run("apply", path, *options)


def test_a_file_becomes_what_is_and_a_second_time_nothing_changes(instance):
    shown = apply(instance, FILE, "--dry-run")
    assert shown.returncode == 0
    for line in ("- account eve@example.test", "- alias old@example.test alice@example.test", "- account alice@example.test",
                 "+ account alice@example.test quota 10G messages 100000", "+ account carol@example.test disabled",
                 "+ domain xn--bcher-kva.example", "+ send-as alice@example.test @example.org"):
        assert line in shown.stdout.splitlines(), shown.stdout
    assert "$6$" not in shown.stdout
    assert len(instance.json("account", "list")) == 2                           # nothing was done
    refused = apply(instance, FILE)
    assert refused.returncode == 2 and "--yes" in refused.stderr                # nobody there to ask
    done = apply(instance, FILE, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown.stdout) and "2 new accounts have no password yet" in done.stdout
    before = instance.postroom("apply", "--export")
    again = apply(instance, FILE, "--yes")
    assert (again.returncode, again.stdout) == (0, "Nothing to change: all is as the file says.\n")
    assert instance.json("apply", instance.root / "wanted", "--dry-run") == []
    assert instance.postroom("apply", "--export") == before
    accounts = {row["account"]: row for row in instance.json("account", "list")}
    assert set(accounts) == {"alice@example.test", "bob@example.test", "carol@example.test", "dora@xn--bcher-kva.example"}
    assert accounts["alice@example.test"]["quota_bytes"] == 10 << 30 and accounts["carol@example.test"]["state"] == "disabled"
    assert [row["alias"] for row in instance.json("alias", "list")] == ["info@example.test", "post@xn--bcher-kva.example"]
    assert [row["catch_all"] for row in instance.json("domain", "list")] == ["bob@example.test", ""]
    # What is exported is such a file.
    assert apply(instance, before, "--yes").stdout.startswith("Nothing to change")


def test_accounts_that_stay_keep_their_passwords_and_a_hash_logs_in(instance):
    assert apply(instance, FILE.replace("disabled ", ""), "--yes").returncode == 0
    instance.start(only="pop3d")
    instance.pop3("alice").quit()
    instance.passwords["carol@example.test"] = "Hello world!"
    instance.pop3("carol").quit()


def test_a_file_with_mistakes_names_all_of_them_and_changes_nothing(instance):
    before = instance.postroom("apply", "--export")
    text = ("domain example.test\naccount alice@example.test quota lots\naccount bob@elsewhere.test\nmailbox x\n"
            "alias alice@example.test bob@example.test\nalias empty@example.test\naccount bob@example.test\n"
            "account bob@example.test\nsend-as nobody@example.test x@example.net\n")
    done = apply(instance, text, "--yes")
    assert done.returncode == 2
    for number in (2, 3, 4, 5, 6, 7, 9):
        assert f"wanted:{number}: " in done.stderr, done.stderr
    assert apply(instance, "", "--yes").returncode == 2                         # an empty file is no wish to lose everything
    assert apply(instance, "# nothing\n", "--yes").returncode == 2
    assert instance.postroom("apply", "--export") == before
    assert instance.run("apply", "/nonexistent/file", "--yes").returncode == 3
    assert instance.run("apply").returncode == 2


def test_a_name_may_change_from_an_account_to_an_alias_and_a_domain_may_go(instance):
    assert apply(instance, FILE, "--yes").returncode == 0
    text = "domain example.test\naccount alice@example.test\nalias bob@example.test alice@example.test\n"
    done = apply(instance, text, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- domain xn--bcher-kva.example" in done.stdout.splitlines()
    assert [row["account"] for row in instance.json("account", "list")] == ["alice@example.test"]
    assert [row["alias"] for row in instance.json("alias", "list")] == ["bob@example.test"]
    assert len(instance.json("domain", "list")) == 1
    back = "domain example.test\naccount alice@example.test\naccount bob@example.test\n"
    assert apply(instance, back, "--yes").returncode == 0
    assert instance.json("alias", "list") == []


def test_accounts_go_out_as_csv_and_json_and_come_in_again(instance):
    table = instance.root / "people.csv"
    table.write_text('Account,password,quota_bytes,protocols,enabled,remark\n'
                     'ann,"a ""quoted"", long password",2G,"imap,submission",true,x\n'
                     'ben@example.test,,,,false,"left, long ago"\n'
                     'alice@example.test,ignored,,,,\n'
                     'bad line\n'
                     'cat@example.test,p,lots,,,\n', encoding="utf-8")
    done = instance.run("account", "import", table, "--domain", "example.test", "--json")
    assert done.returncode == 1 and '"added":2' in done.stdout.replace(" ", ""), done.stdout + done.stderr
    assert "people.csv:5: " in done.stderr and "people.csv:6: lots" in done.stderr
    rows = {row["account"]: row for row in instance.json("account", "export")}
    assert rows["ann@example.test"] == {"account": "ann@example.test", "state": "active", "message": "", "forward": "",
                                        "when_enabled": "active", "quota_bytes": 2 << 30, "quota_messages": 0,
                                        "protocols": ["imap", "submission"],
                                        "password_protocols": ["imap", "pop3", "submission", "managesieve"]}
    assert rows["ben@example.test"]["state"] == "disabled"
    instance.start(only="pop3d")
    instance.passwords["alice@example.test"] = instance.password("alice")
    instance.pop3("alice").quit()               # was there, and was left as it is
    instance.stop()
    lines = instance.postroom("account", "export").splitlines()
    assert lines[0] == "account,state,quota_bytes,quota_messages,protocols,password_protocols,message,forward,when_enabled"
    assert 'ann@example.test,active,2147483648,0,"imap,submission","imap,pop3,submission,managesieve",,,active' in lines
    for name, text in (("out.csv", instance.postroom("account", "export")),
                       ("out.json", instance.postroom("account", "export", "--json"))):
        (instance.root / name).write_text(text, encoding="utf-8")
        with postroom.Instance() as other:
            assert other.run("account", "import", instance.root / name).returncode == 0
            assert other.postroom("account", "export") == instance.postroom("account", "export")


def test_relay_domains_and_domains_with_the_names_of_another_stay_what_they_are(instance):
    text = ("domain example.test\ndomain a.example alias-of example.test\ndomain branch.example relay any\n"
            "account alice@example.test\n")
    assert apply(instance, text, "--yes").returncode == 0
    domains = {row["domain"]: row for row in instance.json("domain", "list")}
    assert (domains["a.example"]["alias_of"], domains["branch.example"]["relay"]) == ("example.test", "any")
    exported = instance.postroom("apply", "--export")
    assert apply(instance, exported, "--yes").stdout.startswith("Nothing to change")
    # What a file does not say is seen before it is gone; the two domains may also change places.
    shown = apply(instance, text.replace(" relay any", ""), "--dry-run").stdout
    assert "- domain branch.example relay any\n+ domain branch.example\n" in shown
    done = apply(instance, text.replace("example.test\n", "example.test alias-of a.example\n", 1).replace("a.example alias-of example.test",
                                                                                                       "a.example"), "--yes")
    assert done.returncode == 0, done.stderr
    assert apply(instance, text.replace("alias-of example.test", "alias-of elsewhere.test"), "--yes").returncode == 2
