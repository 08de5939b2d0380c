"""postroom rule and vacation: Sieve for people who do not write it."""

import postroom
from dialogue import send


def give(server, user, subject="Hello", sender="sender@elsewhere.example"):
    return send(server, user, postroom.message(subject, sender=sender, to=server.address(user)), sender=sender)


def scripts(server, user):
    return {row["script"]: row["active"] for row in server.json("sieve", "list", server.address(user))}


def test_rules_sort_mail_and_the_own_script_still_runs(server, user):
    address = server.address(user)
    own = server.root / "own.sieve"
    own.write_text('require ["fileinto", "mailbox"];\nif header "subject" "own" { fileinto :create "Own"; }')
    server.postroom("sieve", "put", address, str(own), "--activate")
    server.postroom("rule", "add", address, "--if", "from:shop.example", "--move", "Shopping", "--mark", "seen")
    server.postroom("rule", "add", address, "--if", "subject=bin", "--discard")
    assert scripts(server, user) == {"own": False, "postroom": True}
    for subject, sender in (("own", "a@b.example"), ("x", "ads@shop.example"), ("bin", "a@b.example"), ("else", "a@b.example")):
        assert give(server, user, subject, sender) == 250
    assert len(server.files(user, "Own")) == len(server.files(user, "Shopping")) == len(server.files(user)) == 1
    assert server.files(user, "Shopping")[0].name.endswith(":2,S")
    rows = server.json("rule", "list", address)
    assert [(row["rule"], row["if"], row["then"]) for row in rows] == [
        (1, "from:shop.example", "move:Shopping, mark:seen"), (2, "subject=bin", "discard")]
    server.postroom("rule", "remove", address, "1")
    assert give(server, user, "x", "ads@shop.example") == 250
    assert len(server.files(user)) == 2
    server.postroom("rule", "remove", address, "1")
    assert scripts(server, user) == {"own": True}
    assert server.json("rule", "list", address) == []


def test_wrong_rules_are_refused_with_a_sentence(server, user):
    address = server.address(user)
    for options in (["--move", "X"], ["--if", "from:x"], ["--if", "nobody:x", "--move", "X"],
                    ["--if", "from:x", "--discard", "--move", "X"]):
        assert server.run("rule", "add", address, *options).returncode == 2, options
    assert server.run("rule", "add", address, "--if", "from:x", "--forward", "nowhere").returncode == 1
    assert server.run("rule", "remove", address, "1").returncode == 3
    assert scripts(server, user) == {}


def test_a_vacation_answers_while_it_is_set(server, user):
    address = server.address(user)
    sender = f"{user}.v@elsewhere.example"

    def answers():
        return [row for row in server.json("queue", "list") if sender in row["to"]]
    server.postroom("vacation", "set", address, "--file", "-", "--subject", "Away", "--from", "2020-01-01", "--until", "2999-12-31",
                    input="I am away.\nBye.\n")
    shown = server.json("vacation", "show", address)
    assert shown["on"] and shown["message"] == "I am away.\nBye.\n" and shown["until"] == "2999-12-31"
    assert give(server, user, sender=sender) == 250
    assert len(answers()) == 1
    server.postroom("vacation", "off", address)
    assert not server.json("vacation", "show", address)["on"]
    assert give(server, user, sender=f"2{sender}") == 250
    server.postroom("vacation", "set", address, "--message", "Past", "--until", "2020-01-01")
    assert give(server, user, sender=f"3{sender}") == 250
    assert len(answers()) == 1 and len(server.files(user)) == 3
    for options in ([], ["--message", "x", "--from", "tomorrow"], ["--message", "x", "--from", "2026-02-02", "--until", "2026-01-01"],
                    ["--message", "x", "--days", "0"]):
        assert server.run("vacation", "set", address, *options).returncode == 2, options


def test_a_script_edited_by_hand_is_not_overwritten(server, user):
    address = server.address(user)
    server.postroom("rule", "add", address, "--if", "from:x", "--move", "X")
    path = server.root / "mail" / server.domain / user / "sieve" / "postroom.sieve"
    path.write_text(path.read_text() + "# my own line\n")
    done = server.run("rule", "add", address, "--if", "from:y", "--move", "Y")
    assert done.returncode == 1 and "edited by hand" in done.stderr
    assert path.read_text().endswith("# my own line\n")
