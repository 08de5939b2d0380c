"""Thunderbird, as Debian packages it, on a screen of its own (Xvfb), with an account of ten thousand messages: it opens it, reads,
flags, moves and sends, and hears of new mail. A script does what a person would do, through Marionette (marionette.py); what came
of it is looked up on the server."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import marionette
import postroom
from mails import fill

MESSAGES = 10000
WAIT_S = 120
PREFS = {
    "marionette.port": 0,                               # any; it is written into the profile
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",  # nothing leaves this host
    "extensions.update.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.rights.version": 1,
    "mail.biff.show_alert": False,
    "mail.biff.play_sound": False,
    "mailnews.start_page.enabled": False,
    "mail.shell.checkDefaultClient": False,
}
COMMON = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const until = async (what, look, ask) => {
  const began = Date.now();
  for (let i = 1; Date.now() < began + %d; i++) {
    const found = look();
    if (found) return found;
    if (ask && i %% 100 == 0) ask();
    await new Promise(again => setTimeout(again, 100));
  }
  throw new Error("waited in vain for " + what());
};
const account = MailServices.accounts.defaultAccount;
const root = account && account.incomingServer.rootFolder;
const special = flag => root.getFolderWithFlags(Ci.nsMsgFolderFlags[flag]);
const find = (folder, subject) => [...folder.messages].find(message => message.mime2DecodedSubject == subject);
const pane = Services.wm.getMostRecentWindow("mail:3pane").document.getElementById("tabmail").currentAbout3Pane;
""" % (WAIT_S * 1000)


class Thunderbird:
    """A program with a fresh profile, on a display of its own."""

    def __init__(self, folder):
        for name in ("thunderbird", "Xvfb"):
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed (package {name.lower()}): ./quickstart peers")
        self.folder = folder
        self.processes = []
        self.script = None
        (folder / "profile").mkdir()
        (folder / "profile" / "user.js").write_text("".join(
            f"user_pref({as_js(name)}, {as_js(value)});\n" for name, value in PREFS.items()))

    def __enter__(self):
        try:
            ours, theirs = os.pipe()
            self.run("Xvfb", "-displayfd", theirs, "-screen", "0", "1280x900x24", "-nolisten", "tcp", pass_fds=(theirs,))
            os.close(theirs)
            with open(ours, encoding="ascii") as pipe:
                display = pipe.readline().strip()
            assert display, "no display: " + self.log()
            self.run("thunderbird", "--profile", self.folder / "profile", "--no-remote", "--marionette",
                     "--remote-allow-system-access", env={
                         "PATH": os.environ["PATH"], "HOME": str(self.folder), "DISPLAY": f":{display}", "LANG": "C.UTF-8",
                         "NO_AT_BRIDGE": "1", "MOZ_CRASHREPORTER_DISABLE": "1", "TZ": "UTC"})
            self.script = marionette.Marionette(self.marionette_port(), 4 * WAIT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def marionette_port(self):
        path = self.folder / "profile" / "MarionetteActivePort"
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert self.processes[-1].poll() is None, "Thunderbird has ended: " + self.log()
            with contextlib.suppress(OSError, ValueError):
                return int(path.read_text())
            time.sleep(0.1)
        raise AssertionError("Thunderbird does not listen: " + self.log())

    def run(self, *command, **more):
        with open(self.folder / "log", "ab") as log:
            self.processes.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, start_new_session=True, **more))

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def __exit__(self, *_):
        if self.script:
            self.script.close()
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def do(self, script, *args):
        try:
            return self.script.run(COMMON + script, *args)
        except (marionette.ScriptFailed, OSError) as e:
            raise AssertionError(f"{e}\n{script}\n{self.log()}") from None


def as_js(value):
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


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


def read(bird, subject, text):
    """Select it in the list of messages: it is shown, and becomes read. Now and then Thunderbird passes over an EXISTS that comes
    while it does something else, and a click that comes while it builds its list: a person clicks again."""
    return bird.do("""
const [subject, text] = args;
const message = await until(() => "the message " + subject, () => find(special("Inbox"), subject),
  () => account.incomingServer.getNewMessages(special("Inbox"), null, null));
pane.selectMessage(message);
const shown = await until(() => "the text " + text, () => {
  const page = pane.messageBrowser.contentWindow;
  const body = page && page.getMessagePaneBrowser().contentDocument?.body;
  return body && body.textContent.includes(text) && body.textContent;
}, () => pane.selectMessage(message));
await until(() => "the mark of what was read", () => message.isRead);
return shown;
""", subject, text)


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


def send(bird, to, subject):
    bird.do("""
const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = account.defaultIdentity.email;
[fields.to, fields.subject] = args;
fields.body = "Sent by a real Thunderbird.\\r\\n";
parameters.composeFields = fields;
parameters.identity = account.defaultIdentity;
parameters.type = Ci.nsIMsgCompType.New;
parameters.format = Ci.nsIMsgCompFormat.PlainText;
const progress = Cc["@mozilla.org/messenger/progress;1"].createInstance(Ci.nsIMsgProgress);
await MailServices.compose.initCompose(parameters).sendMsg(Ci.nsIMsgCompDeliverMode.Now, account.defaultIdentity, account.key, null,
  progress);
""", to, subject)
