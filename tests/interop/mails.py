"""Accounts with many messages, made at once."""

import pathlib
import tempfile


def fill(server, user, count):
    """`count` messages, two of three read, imported into INBOX before the server starts: "letter 1" to "letter COUNT"."""
    with tempfile.TemporaryDirectory(prefix="postroom-mails-") as name:
        box = pathlib.Path(name)
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir()
        for n in range(1, count + 1):
            (box / "cur" / f"{1700000000 + n}.M{n}.old:2,{'S' if n % 3 else ''}").write_bytes((
                f"From: Sender {n % 50} <s{n % 50}@elsewhere.example>\r\nTo: {server.address(user)}\r\nSubject: letter {n}\r\n"
                f"Date: Mon, 20 Nov 2023 10:{n // 60 % 60:02}:{n % 60:02} +0000\r\nMessage-ID: <m{n}@elsewhere.example>\r\n\r\n"
                f"body of letter {n}\r\n").encode())
        server.postroom("import", "maildir", str(box), "--account", server.address(user))
