"""The whole server: mail by SMTP shows in idling sessions at once, whoever serves them."""

import threading

import imap
from postroom import message


def test_two_deliveries_at_once_reach_three_idling_sessions(server):
    idlers = [imap.Client(server, "alice", tls=n % 2 == 1) for n in range(3)]
    for c in idlers:
        c.ok("SELECT INBOX")
        c.send("i IDLE\r\n")
        assert c.line().startswith(b"+ ")
    senders = [threading.Thread(target=server.send, args=(message(f"push {n}"),)) for n in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    for c in idlers:
        seen = 0
        while seen != 2:
            line = c.line()
            assert line.startswith(b"* "), line
            if line.endswith(b" EXISTS"):
                seen = int(line.split()[1])
        c.send("DONE\r\n")
        assert c.collect("i").status == "OK"
        subjects = sorted(v["ENVELOPE"][1] for v in c.fetch("1:*", "ENVELOPE").values())
        assert subjects == [b"push 0", b"push 1"]
        c.close()


def test_pop3_and_imap_see_the_same_mailbox(server):
    server.send(message("for both"), to="bob")
    with imap.Client(server, "bob") as c:
        assert c.ok("SELECT INBOX").count("EXISTS") == 1
        pop = server.pop3("bob")
        assert pop.stat()[0] == 1
        pop.dele(1)
        pop.quit()
        assert c.ok("NOOP").numbers("EXPUNGE") == [1]


def test_a_message_arrives_as_it_was_sent(server):
    text = message("bytes", body="".join(chr(33 + n % 90) for n in range(5000)).replace(".", "\r\n.") + "\r\n")
    with imap.Client(server, "bob") as c:
        c.ok("SELECT INBOX")
        server.send(text, to="bob")
        c.ok("NOOP")
        got = c.fetch("1", "BODY[]")[1]["BODY[]"]
        assert got.endswith(text)
