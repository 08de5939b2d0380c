"""Administering one domain by a token: its holder sees and changes nothing else, verb by verb."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile

import pytest

import postroom

OWN, OTHER, NOWHERE = "own.test", "other.test", "nowhere.test"

# How the holder uses each verb that is open to him, in an order in which all succeed. {d}: his domain; what has it in it is tried with
# a domain of somebody else, too.
USES = {
    "delegate verbs": [],
    "domain list": [],
    "domain show": ["{d}"],
    "domain set": ["{d}", "--separator", "-"],
    "account add": ["new@{d}", "--generate"],
    "account list": ["{d}"],
    "account show": ["alice@{d}"],
    "account logins": ["alice@{d}"],
    "account set": ["new@{d}", "--quota", "1G"],
    "account password": ["alice@{d}", "--generate"],
    "account disable": ["new@{d}"],
    "account enable": ["new@{d}"],
    "account export": ["{d}"],
    "app-password add": ["alice@{d}", "phone", "--expires", "90d", "--from", "192.0.2.0/24"],
    "app-password list": ["alice@{d}"],
    "app-password revoke": ["alice@{d}", "phone"],
    "device list": ["alice@{d}"],
    "device remove": ["alice@{d}", "tablet"],
    "kick": ["alice@{d}"],
    "send-as add": ["alice@{d}", "press@{d}"],
    "send-as list": ["alice@{d}"],
    "send-as remove": ["alice@{d}", "press@{d}"],
    "alias add": ["shop@{d}", "alice@own.test", "box@elsewhere.test"],
    "alias set": ["shop@{d}", "new@own.test"],
    "alias list": ["{d}"],
    "alias remove": ["shop@{d}"],
    "list add": ["team@{d}", "alice@own.test", "bob@elsewhere.test"],
    "list set": ["team@{d}", "--posters", "anyone"],
    "list join": ["team@{d}", "carol@elsewhere.test"],
    "list leave": ["team@{d}", "carol@elsewhere.test"],
    "list list": ["{d}"],
    "list show": ["team@{d}"],
    "list remove": ["team@{d}"],
    "quota show": ["alice@{d}"],
    "quota set": ["new@{d}", "2G"],
    "quota recount": ["alice@{d}"],
    "account remove": ["new@{d}", "--yes"],
}
FAILS = {"device remove": 3}            # no device has logged in


class Place:
    def __init__(self, folder):
        self.path = folder / "delegate.sock"
        self.server = postroom.Instance(OWN, conf=f"delegate-socket {self.path}")
        # Of all that is there, his domain and another have the same names.
        lines = []
        for domain in (OWN, OTHER):
            lines += [f"domain {domain}", f"account alice@{domain}", f"alias info@{domain} alice@{domain}"]
        tree = self.server.root / "tree"
        tree.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.server.postroom("apply", tree, "--yes")
        self.server.postroom("list", "add", f"staff@{OTHER}", f"alice@{OTHER}", "x@elsewhere.test")
        self.server.postroom("send-as", "add", f"alice@{OTHER}", f"press@{OTHER}")
        self.server.postroom("send-as", "add", f"alice@{OWN}", f"press@{OTHER}")
        self.token = self.add(OWN, "--for", "carol")
        self.server.start()
        postroom.wait_for("the holders' socket", self.path.exists)

    def add(self, *args):
        return self.server.json("delegate", "add", *args)["token"]

    def send(self, request):
        """A request as it is; the lines of the answer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(postroom.DEADLINE_S)
            line.connect(str(self.path))
            # Who is not heard is answered and left before he has spoken, or while he does: what was said lies there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
            lines = []
            for text in line.makefile("rb"):
                lines.append(json.loads(text))
                if "done" in lines[-1] or "error" in lines[-1]:
                    break
            return lines

    def ask(self, *args, token=None, stdin=None):
        """Exit code, output, errors."""
        request = {"token": token or self.token, "args": list(args)}
        lines = self.send(request if stdin is None else request | {"stdin": stdin})
        assert lines and lines[-1] == {"done": True}, (args, lines, self.server.log()[-3000:])
        exits = [line["exit"] for line in lines if "exit" in line]
        return exits[0], "".join(line.get("out", "") for line in lines), "".join(line.get("err", "") for line in lines)


@pytest.fixture(scope="module")
def place():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-delegate-"))
    folder.chmod(0o755)
    here = Place(folder)
    with here.server:
        yield here
    shutil.rmtree(folder)


def fill(args, domain):
    return [arg.replace("{d}", domain) for arg in args]


def test_every_verb_is_closed_or_keeps_to_the_holders_domain(place):
    table = {row["verb"]: row for row in place.server.json("delegate", "verbs", "--all")}
    open_verbs = {verb for verb, row in table.items() if row["may"] != "nothing"}
    assert open_verbs == set(USES), "say in USES how a holder uses this verb, so that it is tried with a foreign domain"
    looks = place.add(OWN, "--for", "looks", "--read-only")
    before = place.server.postroom("apply", "--export")

    for verb in set(table) - open_verbs:
        code, out, err = place.ask(*verb.split())
        assert (code, out) == (1, "") and "a token is not good for" in err, (verb, out, err)

    # With a domain of somebody else in each place where one can stand: as if it were not there.
    for verb, args in USES.items():
        for at in [i for i, arg in enumerate(args) if "{d}" in arg]:
            answers = []
            for domain in (OTHER, NOWHERE):
                words = fill(args[:at], OWN) + fill([args[at]], domain) + fill(args[at + 1:], OWN)
                answers.append([str(part).replace(domain, "DOMAIN") for part in place.ask(*verb.split(), *words)])
            assert answers[0] == answers[1], (verb, at)
            assert answers[0][:2] == ["3", ""] and "there is no domain DOMAIN" in answers[0][2], (verb, answers[0])
        # What is not listed by domain is made of his.
        if table[verb]["may"] == "look":
            code, out, err = place.ask(*verb.split(), *([] if verb.endswith(" list") or "show" not in verb else fill(args, OWN)))
            assert OTHER not in out + err, (verb, out, err)
        if table[verb]["may"] == "change":
            code, out, err = place.ask(*verb.split(), *fill(args, OWN), token=looks)
            assert (code, out) == (1, "") and "may look" in err, (verb, out, err)
    assert place.server.postroom("apply", "--export") == before

    for verb, args in USES.items():
        code, out, err = place.ask(*verb.split(), *fill(args, OWN))
        assert code == FAILS.get(verb, 0), (verb, code, out, err)
        assert OTHER not in out + err, (verb, out, err)


def test_options_that_are_not_open_are_not_there(place):
    for words in (["domain", "set", OWN, "--relay", "any"], ["domain", "set", OWN, "--alias-of", OTHER],
                  ["account", "list", "--root", "/"], ["--root", "/", "account", "list"]):
        code, out, err = place.ask(*words)
        assert (code, out) in ((1, ""), (2, "")) and ("unknown option" in err or "not good for" in err), (words, err)
    # A target elsewhere is anybody's address: whether it is one of ours is not told.
    said = [place.ask("alias", "add", f"to-{n}@{OWN}", f"alice@{domain}") for n, domain in enumerate((OTHER, NOWHERE))]
    assert said == [(0, "", ""), (0, "", "")]
    # Nor does a name of theirs lead to another domain by its spelling.
    for name in (f"alice@{OTHER}@{OWN}", f"alice@{OTHER.upper()}", f"\"a@{OWN}\"@{OTHER}", f"alice@{OTHER}.", ""):
        code, out, err = place.ask("account", "show", name)
        assert code and not out, (name, out)
        assert "press@" not in err


def test_an_ordinary_user_of_the_host_holds_a_token(place):
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o666
    folder = place.path.parent
    program = folder / "postroom"
    shutil.copy(postroom.BIN / "postroom", program)
    token = folder / "token"
    token.write_text(place.token + "\n", encoding="utf-8")
    token.chmod(0o644)          # of the test's own, for a user whose name no machine knows for sure
    user = 65534 if os.geteuid() == 0 else None

    def run(*args, input=None, **more):
        return subprocess.run([program, "--token", token, "--socket", place.path, *args], user=user, cwd="/", text=True, input=input,
                              capture_output=True, timeout=300, check=False, **more)

    done = run("account", "add", f"dora@{OWN}", "--password-stdin", input="a password of dora\n")
    assert (done.returncode, done.stderr) == (0, ""), done
    place.server.passwords[f"dora@{OWN}"] = "a password of dora"
    place.server.imap(f"dora@{OWN}").logout()
    rows = json.loads(run("--json", "account", "list").stdout)
    assert {row["account"] for row in rows} >= {f"alice@{OWN}", f"dora@{OWN}"} and OTHER not in str(rows)
    assert run("account", "show", f"alice@{OTHER}").returncode == 3
    done = subprocess.run([program, "--token", "env", "--socket", place.path, "domain", "list", "--json"], user=user, cwd="/", text=True,
                          env={"POSTROOM_TOKEN": place.token, "LSAN_OPTIONS": "detect_leaks=0"}, capture_output=True, timeout=300, check=True)
    assert [row["domain"] for row in json.loads(done.stdout)] == [OWN]
    [row] = [row for row in place.server.json("delegate", "list") if row["name"] == "carol"]
    assert row["domains"] == [OWN] and row["may"] == "change" and row["used"]
    log = place.server.log()
    assert 'event=delegate.verb name=carol noun=account verb=add about=dora@own.test exit=0' in log, log[-3000:]
    assert place.token not in log and "a password of dora" not in log
    assert run("account", "list", env={"LSAN_OPTIONS": "detect_leaks=0"}).returncode == 0
    assert "there is no token" in place.server.run("delegate", "remove", "nobody").stderr


def test_status_says_who_holds_a_token_and_whether_somebody_listens(place):
    told = place.server.json("status")["delegate"]
    assert told["socket"] == str(place.path) and told["answers"] is True
    [carol] = [token for token in told["tokens"] if token["name"] == "carol"]
    assert carol["domains"] == [OWN] and carol["may_change"] is True and carol["expires"] == 0
    text = place.server.postroom("status")
    assert "carol" in text and f"{place.path}: answers" in text, text


def test_a_folder_that_is_missing_is_told_once(place):
    """`postroom serve` does not try again then, since it would end alike: exit code 2."""
    with postroom.Instance(OWN, conf=f"delegate-socket {place.path.parent}/nowhere/delegate.sock") as other:
        other.postroom("delegate", "add", OWN, "--for", "dave")
        done = other.run("delegate", "serve")
        assert done.returncode == 2 and f"there is no folder {place.path.parent}/nowhere" in done.stderr and "try: mkdir" in done.stderr, done
        other.start()
        other.wait_log("event=serve.delegates.end")
        assert "status=2 again=no" in other.log()
        told = other.postroom("status")
        assert "tokens       1: dave" in told and "NOT ANSWERING" in told, told
        assert other.json("status")["delegate"]["answers"] is False


def test_requests_that_are_none_hurt_nobody_and_tokens_end(place):
    for request in (b"\n", b"{}\n", b"[]\n", b"x" * 70000, b"{\"token\":1,\"args\":[]}\n", b"{\"token\":\"x\",\"args\":[1]}\n",
                    json.dumps({"token": place.token, "args": ["x"] * 65}).encode() + b"\n"):
        lines = place.send(request)
        assert len(lines) == 1 and lines[0]["error"]["kind"] in ("invalid", "limit"), (request[:40], lines)
    passing = place.add(OWN, "--for", "passing", "--days", "1")
    assert place.ask("account", "list", token=passing)[0] == 0
    place.server.postroom("delegate", "remove", "passing")
    [line] = place.send({"token": passing, "args": ["account", "list"]})
    assert line["error"]["kind"] == "auth"
    # Who tries tokens is heard no more for a while; it counts when the process that looked has ended.
    kinds = []
    while "busy" not in kinds and len(kinds) < 50:
        [line] = place.send({"token": "prd_" + "a" * 52, "args": ["account", "list"]})
        kinds.append(line["error"]["kind"])
    assert kinds[-1] == "busy" and set(kinds[:-1]) == {"auth"}, kinds
    assert "event=delegate.blocked" in place.server.log()
