"""FILTERS (RFC 5466): searches that an account keeps under a name."""

import imap
from postroom import message


def put(client, name, value, where="private"):
    return client.cmd(f'SETMETADATA "" (/{where}/filters/values/{name} ', value.encode(), ")")


def test_rfc5466_examples(box):
    for n, sender in enumerate(("boss@example.com", "boss@example.com", "x@y", "x@y"), 1):
        box.append("INBOX", message(f"n {n}", sender=sender, body="z" * (6000 if n % 2 else 10) + "\r\n"),
                   '"4-Dec-2002 00:00:00 +0000"' if n < 4 else '"1-Dec-2002 00:00:00 +0000"')
    box.ok("NOOP")
    box.ok('SETMETADATA "" ("/private/filters/values/on-the-road" "OR SMALLER 5000 FROM \\"boss@example.com\\"")')
    assert box.search('UID 1:900 FILTER on-the-road SINCE "3-Dec-2002"') == [1, 2]
    assert box.search("FILTER on-the-road") == [1, 2, 4]
    assert box.search("NOT FILTER ON-THE-ROAD") == [3] == box.search("NOT (FILTER on-the-road)")
    assert box.search("OR FILTER on-the-road 3", uid=True) == [1, 2, 3, 4]
    assert box.ok("SORT (REVERSE SIZE) UTF-8 FILTER on-the-road").all("SORT")[0].split()[0] == b"1"
    assert box.ok("ESEARCH IN (inboxes) FILTER on-the-road").all("ESEARCH")[0].endswith(b"UID ALL 1:2,4")
    reply = box.no("SEARCH FILTER nowhere")
    assert reply.code() == "UNDEFINED-FILTER nowhere"
    assert box.bad("SEARCH CHARSET ISO-8859-1 FILTER on-the-road").code().startswith("BADCHARSET")
    assert box.search("CHARSET UTF-8 FILTER on-the-road SMALLER 5000") == [2, 4]
    box.ok('SETMETADATA "" (/private/filters/values/on-the-road NIL)')
    assert box.no("SEARCH FILTER on-the-road").code() == "UNDEFINED-FILTER on-the-road"


def test_filters_within_filters(box):
    box.append("INBOX", message("grün", extra="X-Colour: blue\r\n"))
    box.append("INBOX", message("rot"))
    box.ok("NOOP")
    put(box, "f0", 'SUBJECT "grün"')
    for n in range(1, 6):
        put(box, f"f{n}", f"FILTER f{n - 1} ALL")
    assert box.search("FILTER f0") == box.search("FILTER f4") == [1]
    assert box.no("SEARCH FILTER f5").code().startswith("UNDEFINED-FILTER ")
    put(box, "loop", "FILTER loop")
    assert box.no("SEARCH FILTER loop").code() == "UNDEFINED-FILTER loop"
    for wrong in ("", "OR SMALLER", "NONSENSE", "(", "SEEN)", "OR SEEN", "SEEN {1}", "SEEN\r\nx LOGOUT", "NOT", "CHARSET UTF-8 ALL", "RETURN () ALL"):
        put(box, "wrong", wrong)
        assert box.no("SEARCH FILTER wrong").status == "NO", wrong
        assert box.no("SEARCH OR FILTER wrong ALL").code() == "UNDEFINED-FILTER wrong"
    put(box, "header", 'HEADER X-Colour blue KEYWORD $none')
    assert box.search("FILTER header") == [] and box.search("OR FILTER header SUBJECT rot") == [2]
    put(box, "two", "OR SUBJECT rot HEADER X-Colour blue")
    assert box.search("FILTER two UNSEEN FILTER f0") == [1]
    for wrong in ("FILTER", "FILTER a/b c", 'FILTER "f0"', "FILTER f0)"):
        box.bad(f"SEARCH {wrong}")
    # A result that is kept up to date has the filter as it was.
    box.ok("SEARCH RETURN (UPDATE COUNT) FILTER two")
    put(box, "two", "NOT ALL")
    box.ok("STORE 1 +FLAGS (\\Seen)")
    assert box.append("INBOX", message("rot"))
    assert box.ok("NOOP") and box.search("SUBJECT rot") == [2, 3]
