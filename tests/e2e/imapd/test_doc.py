"""doc/imap.md is true: its table lists what a session is offered, no more and no less, and names tests that exist."""

import ast
import pathlib
import re

import imap

HERE = pathlib.Path(__file__).parent
DOC = HERE.parents[2] / "doc" / "imap.md"
NAMED_TEST = re.compile(r"`([a-z0-9_]+\.py)::(test_[a-z0-9_]+)`")


def rows(heading):
    """The cells of the table under a heading, without its two top lines."""
    section = DOC.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def missing_tests(text):
    """Those of the named tests that do not exist."""
    missing = []
    for file, function in NAMED_TEST.findall(text):
        path = HERE / file
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        if not any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body):
            missing.append(f"{file}::{function}")
    return missing


def offered():
    """Every capability that a session is offered at some point; values are cut off behind `=` where the table does so."""
    with imap.Imapd(accounts=("alice",)) as server:
        server.start()
        with imap.Client(server) as c:
            words = set(c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split())
            c.ok(f'LOGIN alice@example.test "{server.password("alice")}"')
            words |= set(c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split())
    with imap.Imapd(accounts=("alice",), conf="plaintext-auth never\nimap-capabilities-off LITERAL+\n") as server:
        server.start()
        with imap.Client(server) as c:
            words |= set(c.ok("CAPABILITY").all("CAPABILITY")[0].decode().split())
    return words


def test_the_table_of_extensions_is_what_a_session_is_offered():
    names = [re.fullmatch(r"`(\S+)`", row[0]).group(1) for row in rows("Extensions")]
    assert len(names) == len(set(names)), "a name stands twice"
    prefixes = [name for name in names if name.endswith("=")]

    def row_of(word):
        return next((p for p in prefixes if word.startswith(p) and len(word) > len(p)), word)

    assert {row_of(word) for word in offered()} == set(names)


def test_every_extension_names_its_rfc_and_a_test_that_exists():
    for row in rows("Extensions"):
        assert len(row) == 3, row
        assert re.match(r"RFC \d{4,5}", row[1]), row
        assert NAMED_TEST.search(row[2]), row
        assert missing_tests(row[2]) == [], row


def test_examples_add_up_and_name_tests_that_exist():
    for row in rows("Example dialogues of the RFCs"):
        rfc, examples, replayed, left_out, where = row
        assert rfc.startswith("RFC "), row
        assert int(examples) == int(replayed) + int(left_out), row
        assert missing_tests(where) == [], row
        assert not int(replayed) or NAMED_TEST.search(where), row


def test_workarounds_name_tests_that_exist():
    names = set()
    for name, _, _, default, where in rows("Workarounds"):
        names.add(name.strip("`"))
        assert default in ("on", "off") and NAMED_TEST.search(where) and missing_tests(where) == [], name
    source = (HERE.parents[2] / "imapd" / "workaround.c").read_text()
    assert names == set(re.findall(r'^\t\{ "([a-z0-9-]+)", ', source, re.MULTILINE))
