"""METADATA (RFC 5464) and LIST-METADATA (RFC 9590), with their example dialogues."""

import imap


def metadata(reply):
    """{mailbox: {entry: value}} of all METADATA responses."""
    out = {}
    for text in reply.all("METADATA"):
        p = imap.Parser(b"(" + text + b")")
        name, pairs = p.list()
        p.end()
        out.setdefault((name or b"").decode(), {}).update(zip((k.decode() for k in pairs[::2]), pairs[1::2]))
    return out


def test_examples_of_rfc_5464(client, imapd, user):
    client.ok("SETMETADATA INBOX (/private/comment ", b"My new comment across\r\ntwo lines.\r\n", ")")     # §4.3
    assert metadata(client.ok('GETMETADATA "INBOX" /private/comment')) == \
        {"INBOX": {"/private/comment": b"My new comment across\r\ntwo lines.\r\n"}}
    client.ok("SETMETADATA INBOX (/private/comment NIL)")
    assert metadata(client.ok('GETMETADATA "INBOX" /private/comment')) == {"INBOX": {"/private/comment": None}}
    client.ok('SETMETADATA INBOX (/private/comment "My own comment" /shared/comment "Its sunny outside!")')
    both = {"INBOX": {"/private/comment": b"My own comment", "/shared/comment": b"Its sunny outside!"}}
    assert metadata(client.ok('GETMETADATA "INBOX" (/shared/comment /private/comment)')) == both          # §4.2
    assert metadata(client.ok('GETMETADATA "INBOX" /private/comment /shared/comment')) == both            # §4.4.1

    client.ok("SETMETADATA INBOX (/shared/comment ", b"x" * 2199, ")")                                    # §4.2.1
    reply = client.ok('GETMETADATA "INBOX" (MAXSIZE 1024) (/shared/comment /private/comment)')
    assert metadata(reply) == {"INBOX": {"/private/comment": b"My own comment"}}
    assert reply.code() == "METADATA LONGENTRIES 2199"
    assert client.ok('GETMETADATA (MAXSIZE 2199) "INBOX" /shared/comment').code() is None

    client.ok('SETMETADATA INBOX (/private/filters/values/small "SMALLER 5000" '
              r'/private/filters/values/boss "FROM \"boss@example.com\"" /private/filters/values/a/b "deep")')
    below = {"/private/filters/values/small": b"SMALLER 5000",
             "/private/filters/values/boss": b'FROM "boss@example.com"'}
    assert metadata(client.ok('GETMETADATA "INBOX" (DEPTH 1) (/private/filters/values)')) == {"INBOX": below}   # §4.2.2
    assert metadata(client.ok('GETMETADATA (DEPTH infinity) INBOX /private/filters')) == \
        {"INBOX": {**below, "/private/filters/values/a/b": b"deep"}}
    assert not metadata(client.ok('GETMETADATA (DEPTH 1) INBOX /private/filters'))

    assert metadata(client.ok('GETMETADATA "" /shared/admin')) == \
        {"": {"/shared/admin": b"mailto:postmaster@example.test"}}                                        # §6.2.2
    client.ok('SETMETADATA "" (/private/vendor/x/y "mine")')
    assert metadata(client.ok('GETMETADATA "" (/private/vendor/x/y /shared/comment)')) == \
        {"": {"/private/vendor/x/y": b"mine", "/shared/comment": None}}
    assert client.no('SETMETADATA "" (/shared/comment "mine")').code() == "NOPERM"
    assert client.no('SETMETADATA "" (/shared/admin "tel:1")').code() == "NOPERM"


def test_all_of_a_setmetadata_or_nothing(client):
    client.no('SETMETADATA "" (/private/vendor/a/b "1" /shared/comment "2")')
    assert metadata(client.ok('GETMETADATA "" /private/vendor/a/b'))[""]["/private/vendor/a/b"] is None
    many = " ".join(f'/private/vendor/x/{n} "v"' for n in range(60))
    client.ok(f"SETMETADATA INBOX ({many})")
    more = " ".join(f'/private/vendor/x/{n} "v"' for n in range(50, 110))
    assert client.no(f"SETMETADATA INBOX ({more})").code() == "METADATA TOOMANY"
    got = metadata(client.ok("GETMETADATA (DEPTH infinity) INBOX /private/vendor"))["INBOX"]
    assert sorted(got) == sorted(f"/private/vendor/x/{n}" for n in range(60))


def test_limits_and_bad_names(client):
    client.ok("SETMETADATA INBOX (/private/comment ", b"x" * 65536, ")")
    assert client.no("SETMETADATA INBOX (/private/comment ", b"x" * 65537, ")").code() == "METADATA MAXSIZE 65536"
    assert len(metadata(client.ok("GETMETADATA INBOX /PRIVATE/Comment"))["INBOX"]["/private/comment"]) == 65536
    for name in ("/comment", "comment", "/private/", "/private//x", "/shared/a*", "/shared/a%", "/other/x", "/private"):
        client.bad(f'SETMETADATA INBOX ({name} "v")')
    for text in ("INBOX", "INBOX ()", "INBOX /private/comment", "INBOX (/private/comment)",
                 'INBOX (/private/comment atom)', 'INBOX (/private/comment "v"'):
        client.bad(f"SETMETADATA {text}")
    for text in ("INBOX", "INBOX ()", "INBOX (MAXSIZE x) /private/comment", "(DEPTH 2) INBOX /private/comment",
                 "(NOSUCH) INBOX /private/comment"):
        client.bad(f"GETMETADATA {text}")
    assert client.no("GETMETADATA nosuch /private/comment").code() == "NONEXISTENT"
    assert client.no('SETMETADATA nosuch (/private/comment "v")').code() == "NONEXISTENT"


def test_a_binary_value_comes_back_as_literal8(client):
    client.send("b SETMETADATA INBOX (/private/vendor/x/icon ~{5+}\r\na\x00b\xff\n)\r\n".encode("latin-1"))
    assert client.collect("b").status == "OK"
    client.send("c GETMETADATA INBOX /private/vendor/x/icon\r\n")
    assert client.line() == b"* METADATA INBOX (/private/vendor/x/icon ~{5}"
    assert client.octets(5) == b"a\x00b\xff\n"
    assert client.line() == b")"
    assert client.collect("c").status == "OK"


def test_metadata_follows_a_rename_and_survives_a_rebuild(client, imapd, user):
    client.ok("CREATE work")
    client.ok('SETMETADATA work (/private/comment "kept" /shared/comment "too")')
    client.ok("RENAME work play")
    imapd.postroom("index", "rebuild", imapd.address(user))
    kept = {"play": {"/private/comment": b"kept", "/shared/comment": b"too"}}
    assert metadata(client.ok("GETMETADATA play (/private/comment /shared/comment)")) == kept
    client.ok("DELETE play")
    client.ok("CREATE play")
    assert metadata(client.ok("GETMETADATA play /private/comment")) == {"play": {"/private/comment": None}}


def test_list_return_metadata_as_in_rfc_9590(client):
    client.ok("CREATE foo/sub")
    client.ok("CREATE bar/sub")
    client.ok("DELETE bar")
    client.ok('SETMETADATA INBOX ("/shared/vendor/cmu/cyrus-imapd/color" "#b71c1c")')
    reply = client.ok('LIST "" % RETURN (METADATA ("/shared/vendor/cmu/cyrus-imapd/color"))')
    told = metadata(reply)
    assert told["INBOX"] == {"/shared/vendor/cmu/cyrus-imapd/color": b"#b71c1c"}
    assert told["foo"] == {"/shared/vendor/cmu/cyrus-imapd/color": None}
    assert "bar" not in told
    at = reply.untagged.index(b'* LIST (\\HasNoChildren) "/" INBOX')
    assert reply.untagged[at + 1].startswith(b"* METADATA INBOX ")
    client.ok("UNSUBSCRIBE foo")
    told = metadata(client.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" % '
                              'RETURN (METADATA ("/shared/vendor/cmu/cyrus-imapd/color"))'))
    assert "INBOX" in told and "foo" not in told


def test_enable_metadata_tells_of_changes(client, imapd, user):
    """§4.1 and §4.4.2; they come by themselves, and with NOOP at the latest."""
    with imap.Client(imapd, user) as other:
        assert client.ok("ENABLE METADATA METADATA-SERVER").all("ENABLED") == [b"METADATA METADATA-SERVER"]
        client.ok("NOOP")
        client.ok('SETMETADATA INBOX (/private/comment "mine")')          # own changes are no news
        other.ok('SETMETADATA "" (/private/vendor/x/y "1")')
        assert client.response() == b'* METADATA "" /private/vendor/x/y'
        other.ok('SETMETADATA INBOX (/shared/comment "2" /private/comment "3")')
        assert client.response() in (b"* METADATA INBOX /shared/comment /private/comment",
                                     b"* METADATA INBOX /private/comment /shared/comment")
        client.ok("SELECT INBOX")
        client.append("INBOX", b"A: b\r\n\r\nx\r\n")
        assert client.ok("NOOP").status == "OK"
        assert client.search("ALL") == [1]                                # the selected mailbox is told of as ever
        client.ok("NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
        other.ok('SETMETADATA INBOX (/shared/comment NIL)')
        assert client.response() == b"* METADATA INBOX /shared/comment"
