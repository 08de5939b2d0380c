"""The grammar of ENVELOPE, BODY and BODYSTRUCTURE, letter by letter (RFC 3501 §9), for values that imap.Parser has read. What
it lets through, no mail program stumbles over."""

from imap import Quoted


class NotGrammatical(Exception):
    pass


def need(condition, what, value):
    if not condition:
        raise NotGrammatical(f"{what}: {value!r}"[:2000])


def string(value, what="string"):
    need(isinstance(value, Quoted), what, value)
    need(b"\0" not in value, what, value)


def nstring(value, what="nstring"):
    if value is not None:
        string(value, what)


def number(value, what="number"):
    need(type(value) is int and 0 <= value < 2 ** 32, what, value)


def envelope(value):
    need(isinstance(value, list) and len(value) == 10, "envelope has ten members", value)
    for n in (0, 1, 8, 9):
        nstring(value[n], f"envelope member {n}")
    for n in range(2, 8):
        if value[n] is None:
            continue
        need(isinstance(value[n], list) and value[n], "env-from and the like: NIL or 1*address", value[n])
        for address in value[n]:
            need(isinstance(address, list) and len(address) == 4, "address has four members", address)
            for member in address:
                nstring(member, "address member")


def parameters(value):
    if value is None:
        return
    need(isinstance(value, list) and value and len(value) % 2 == 0, "body-fld-param: NIL or pairs", value)
    for member in value:
        string(member, "body-fld-param")


def extension(value):
    """body-fld-dsp, -lang, -loc and what may follow them."""
    if value:
        dsp = value.pop(0)
        if dsp is not None:
            need(isinstance(dsp, list) and len(dsp) == 2, "body-fld-dsp", dsp)
            string(dsp[0], "disposition")
            parameters(dsp[1])
    if value:
        lang = value.pop(0)
        if isinstance(lang, list):
            need(lang, "body-fld-lang: 1*string", lang)
            for one in lang:
                string(one, "body-fld-lang")
        else:
            nstring(lang, "body-fld-lang")
    if value:
        nstring(value.pop(0), "body-fld-loc")
    need(not value, "nothing behind body-fld-loc is defined", value)


def parts(value, extended, path=()):
    """Checks a body and gives (path, type, subtype, octets, lines or None) of each leaf and message; not recursive, since hostile
    messages are deep."""
    found, todo = [], [(value, path, True)]
    while todo:
        value, path, is_message = todo.pop()
        need(isinstance(value, list) and value, "body", value)
        rest = list(value)
        if isinstance(rest[0], list):
            inner = []
            while rest and isinstance(rest[0], list):
                inner.append(rest.pop(0))
            need(rest, "media-subtype of a multipart", value)
            string(rest.pop(0), "media-subtype")
            if rest:
                need(extended, "extension data in BODY", rest)
                parameters(rest.pop(0))
                extension(rest)
            todo += [(part, path + (n + 1,), False) for n, part in enumerate(inner)]
            continue
        if is_message:
            path += (1,)
        need(len(rest) >= 7, "body-type-1part", value)
        kind, subtype = rest[0], rest[1]
        string(kind, "media-type")
        string(subtype, "media-subtype")
        parameters(rest[2])
        nstring(rest[3], "body-fld-id")
        nstring(rest[4], "body-fld-desc")
        string(rest[5], "body-fld-enc")
        number(rest[6], "body-fld-octets")
        octets, lines = rest[6], None
        rest = rest[7:]
        if (kind.lower(), subtype.lower()) == (b"message", b"rfc822"):
            need(len(rest) >= 3, "body-type-msg", value)
            envelope(rest.pop(0))
            todo.append((rest.pop(0), path, True))
            number(rest.pop(0), "body-fld-lines")
        elif kind.lower() == b"text":
            need(rest, "body-type-text has lines", value)
            lines = rest.pop(0)
            number(lines, "body-fld-lines")
        if rest:
            need(extended, "extension data in BODY", rest)
            nstring(rest.pop(0), "body-fld-md5")
            extension(rest)
        found.append((path, bytes(kind).lower(), bytes(subtype).lower(), octets, lines))
    return found
