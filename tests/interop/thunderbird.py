"""Thunderbird, as Debian packages it, on a screen of its own (Xvfb), with a fresh profile. A script does what a person would do, through
Marionette (marionette.py)."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

import marionette

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

    def __init__(self, folder, wrap=None):
        """wrap(command): what to run in its place."""
        for name in ("thunderbird", "Xvfb"):
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed (package {name.lower()}): ./quickstart peers")
        self.folder, self.wrap = folder, wrap or (lambda command: command)
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
            self.run(*self.wrap(["thunderbird", "--profile", self.folder / "profile", "--no-remote", "--marionette",
                                 "--remote-allow-system-access"]), env={
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
