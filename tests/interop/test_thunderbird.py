"""Thunderbird, as Debian packages it, on a screen of its own (Xvfb), with an account of ten thousand messages: it opens it, reads,
flags, moves and sends, and hears of new mail; what came of it is looked up on the server."""

import pathlib
import re

import pytest

import postroom
from mails import fill
from thunderbird import Thunderbird, read, send

MESSAGES = 10000


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob")) as instance:
        fill(instance, "alice", MESSAGES)
        yield instance.start()


def test_thunderbird_opens_reads_flags_moves_and_sends(server, tmp_path):
    with Thunderbird(tmp_path) as bird:
        add_account(bird, server, "alice")
        # INBOX is Inbox as soon as it knows which folder that is.
        assert sorted(name.upper() for name in open_account(bird)) == ["ARCHIVE", "DRAFTS", "INBOX", "JUNK", "SENT", "TRASH"]
        show_inbox(bird)

        assert "body of letter 6001" in read(bird, "letter 6001", "body of letter 6001")
        flag(bird, "letter 6002")
        move(bird, "letter 6003", "Archive")
        send(bird, server.address("bob"), "from Thunderbird")
        server.send(postroom.message(subject="for Thunderbird", body="it is told\r\n"))
        assert "it is told" in read(bird, "for Thunderbird", "it is told")
        sessions = [row for row in server.json("sessions", server.address("alice")) if row["protocol"] == "imap"]
        assert sessions and all(re.match(r"Thunderbird \d", row["client"]) for row in sessions), sessions

        with server.imap("alice") as imap:
            def seen(mailbox, keys):
                imap.select(mailbox, readonly=True)
                return imap.search(None, keys)[1][0].split()
            postroom.wait_for("what was read is \\Seen", lambda: len(seen("INBOX", '(SEEN SUBJECT "letter 6001")')) == 1)
            postroom.wait_for("the star", lambda: len(seen("INBOX", '(FLAGGED SUBJECT "letter 6002")')) == 1)
            assert seen("INBOX", 'UNDELETED SUBJECT "letter 6003"') == [] and len(seen("Archive", 'SUBJECT "letter 6003"')) == 1
            assert len(seen("INBOX", "UNDELETED")) == MESSAGES
            postroom.wait_for("the copy in Sent", lambda: len(seen("Sent", 'SUBJECT "from Thunderbird"')) == 1)
        with server.imap("bob") as imap:
            postroom.wait_for("what was sent", lambda: imap.select("INBOX")[1] == [b"1"])
            text = imap.fetch("1", "(BODY.PEEK[])")[1][0][1]
            assert b"Sent by a real Thunderbird." in text and b"User-Agent: Mozilla Thunderbird" in text


def add_account(bird, server, user):
    """As the account set-up does it; the certificate is one that the user has accepted."""
    pem = pathlib.Path(server.root / "tls" / "cert.pem").read_text()
    bird.do("""
const [pem, user, password, imaps, submissions] = args;
const certificate = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).constructX509FromBase64(pem);
const overrides = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
for (const port of [imaps, submissions])
  overrides.rememberValidityOverride("localhost", port, {}, certificate, true);
MailServices.accounts.createLocalMailAccount();
const incoming = MailServices.accounts.createIncomingServer(user, "localhost", "imap");
incoming.port = imaps;
const outgoing = MailServices.outgoingServer.createServer("smtp").QueryInterface(Ci.nsISmtpServer);
outgoing.hostname = "localhost";
outgoing.port = submissions;
outgoing.username = user;
for (const server of [incoming, outgoing]) {
  server.socketType = Ci.nsMsgSocketType.SSL;
  server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  server.password = password;
}
const identity = MailServices.accounts.createIdentity();
identity.email = user;
identity.fullName = "Alice";
identity.smtpServerKey = outgoing.key;
identity.composeHtml = false;
identity.valid = true;
const added = MailServices.accounts.createAccount();
added.addIdentity(identity);
added.incomingServer = incoming;
MailServices.accounts.defaultAccount = added;
""", "".join(line for line in pem.splitlines() if not line.startswith("-")), server.address(user), server.password(user),
            server.port("imaps"), server.port("submissions"))


def open_account(bird):
    """Log in; the names of its mailboxes, when all headers of INBOX are there."""
    return bird.do("""
account.incomingServer.getNewMessages(root, null, null);
await until(() => "mailboxes", () => special("Inbox") && special("SentMail") && special("Archive") && root.subFolders.length >= 6);
account.defaultIdentity.fccFolderURI = special("SentMail").URI;
const inbox = special("Inbox");
await until(() => `headers; there are ${inbox.getTotalMessages(false)}`, () => inbox.getTotalMessages(false) == args[0]);
return root.subFolders.map(folder => folder.name).sort();
""", MESSAGES)


def show_inbox(bird):
    bird.do("""
await until(() => "the window", () => pane && pane.displayFolder);
pane.displayFolder(special("Inbox").URI);
await until(() => "its list", () => pane.gDBView && pane.gDBView.rowCount >= args[0]);
""", MESSAGES)


def flag(bird, subject):
    bird.do("""
const message = find(special("Inbox"), args[0]);
special("Inbox").markMessagesFlagged([message], true);
await until(() => "the star", () => message.isFlagged);
""", subject)


def move(bird, subject, mailbox):
    bird.do("""
const [subject, flag] = args, inbox = special("Inbox");
await new Promise((done, failed) => MailServices.copy.copyMessages(inbox, [find(inbox, subject)], special(flag), true, {
  onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return ""; },
  onStopCopy(status) { status ? failed(new Error("move: " + status.toString(16))) : done(); },
}, null, true));
await until(() => "the message to leave", () => !find(inbox, subject));
""", subject, mailbox)
