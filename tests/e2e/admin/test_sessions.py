"""postroom sessions: who is connected, by every protocol."""

import time

import postroom
from postroom import wait_for

ALICE, BOB = "alice@example.test", "bob@example.test"


def test_sessions_of_every_protocol_stand_in_one_list(fresh_server):
    server = fresh_server
    with server.raw("managesieve") as sieve, server.raw("mx") as mx, server.raw("imap") as stranger, \
            server.imap("alice") as alice, server.imap("alice", tls=False) as phone:
        alice.xatom("ID", '("name" "Thunderbird" "version" "140.5" "os" "Linux")')
        alice.select("INBOX")
        phone.xatom("ID", '("name" "com.apple.email.maild" "os" "iOS")')
        pop = server.pop3("bob")
        submission = server.submission("bob")
        mx.line()
        mx.smtp("EHLO mx.elsewhere.example")
        sieve.line()
        stranger.line()
        begun = time.time()

        def rows():
            return server.json("sessions")
        wait_for("seven sessions", lambda: len(rows()) == 7)
        listed = rows()
        assert [row["account"] for row in listed] == [ALICE, ALICE, BOB, BOB, "", "", ""]
        assert sorted(row["protocol"] for row in listed) == ["imap", "imap", "imap", "managesieve", "mx", "pop3", "submission"]
        assert len({row["sid"] for row in listed}) == 7 and all(row["address"] == "127.0.0.1" for row in listed)
        desk, hand = listed[0], listed[1]
        if desk["workarounds"]:
            desk, hand = hand, desk
        assert (desk["client"], desk["mailbox"], desk["tls"]) == ("Thunderbird 140.5 (Linux)", "INBOX", "TLSv1.3")
        assert (hand["client"], hand["mailbox"], hand["tls"]) == ("com.apple.email.maild (iOS)", "", "")
        assert hand["workarounds"] == ["ios-imap4rev2"] and desk["workarounds"] == [] and desk["device"] == "password"
        assert abs(time.mktime(time.strptime(desk["since"][:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.gmtime(begun))) < 300
        assert next(row["client"] for row in listed if row["protocol"] == "mx") == "mx.elsewhere.example"
        assert {row["protocol"] for row in server.json("sessions", BOB)} == {"pop3", "submission"}
        shown = server.postroom("sessions", ALICE).splitlines()
        assert shown[0].split()[:4] == ["ACCOUNT", "PROTOCOL", "ADDRESS", "PROGRAM"] and len(shown) == 3, shown
        pop.quit()
        submission.quit()
        alice.unselect()
        wait_for("those that left are gone, and the mailbox with them",
                 lambda: len(rows()) == 5 and not any(row["mailbox"] for row in rows()))
    wait_for("nobody", lambda: rows() == [])
    assert server.postroom("sessions") == "Nobody is connected.\n"


def test_without_daemons_there_is_no_answer(fresh_server):
    fresh_server.stop()
    done = fresh_server.run("sessions")
    assert done.returncode == 4 and "smtpd does not answer" in done.stderr
