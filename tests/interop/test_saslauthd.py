"""Debian's saslauthd with PAM, so that no PAM is in our processes: `saslauthd -a pam` in a mount namespace of its own, whose /etc/pam.d is
the test's."""

import os
import shutil
import subprocess
import tempfile
import pathlib

import pytest

import postroom

SASLAUTHD = "/usr/sbin/saslauthd"
CHECK = """#!/bin/sh
read -r given
[ "$PAM_SERVICE" = postroom ] && [ "$PAM_USER" = alice@example.test ] && [ "$given" = "from pam" ]
"""


@pytest.fixture(scope="module")
def pam():
    """The folder of the socket of a saslauthd that asks PAM, which asks a script."""
    if not os.path.exists(SASLAUTHD):
        pytest.skip("saslauthd is not installed (package sasl2-bin): ./quickstart peers")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-saslauthd-"))
    script = folder / "check"
    script.write_text(CHECK)
    script.chmod(0o755)
    (folder / "pam.d").mkdir()
    (folder / "pam.d" / "postroom").write_text(f"auth required pam_exec.so quiet expose_authtok {script}\naccount required pam_permit.so\n")
    (folder / "run").mkdir()
    command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c",
               'mount --bind "$1" /etc/pam.d && exec "$0" -d -a pam -n 2 -r -m "$2"', SASLAUTHD, str(folder / "pam.d"), str(folder / "run")]
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def listens():
        said = (folder / "log").read_text()
        if process.poll() is not None:
            if "Operation not permitted" in said or "denied" in said:
                pytest.skip(f"no mount namespace may be made here: {said.strip()}")
            raise RuntimeError(f"saslauthd has ended:\n{said}")
        return "listening on socket" in said
    postroom.wait_for("saslauthd listens", listens)
    yield folder / "run" / "mux"
    os.killpg(process.pid, 15)
    process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(pam):
    conf = f"failure-delay 0\nscram-iterations 4096\nsaslauthd-domains example.test\nsaslauthd-socket {pam}\n"
    with postroom.Instance(accounts=("alice",), conf=conf) as instance:
        instance.start()
        yield instance


URLS = {"imap": ("imaps", "imaps"), "pop3": ("pop3s", "pop3s"), "smtp": ("smtps", "submissions")}


@pytest.mark.parametrize("protocol", URLS)
def test_pam_says_what_the_password_is(server, program, protocol):
    scheme, listener = URLS[protocol]

    def login(password):
        return program("curl", "--silent", "--show-error", "--insecure", "--user", f"alice@example.test:{password}",
                       f"{scheme}://127.0.0.1:{server.port(listener)}", check=False)
    done = login("from pam")
    assert done.returncode == 0, (done, server.log()[-3000:])
    for wrong in ("from pamela", server.password("alice")):
        done = login(wrong)
        assert done.returncode == 67, done       # the login was denied
    assert "auth.saslauthd.unknown" not in server.log()
