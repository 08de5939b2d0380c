"""The same scripts on the same messages by Dovecot's sieve-test and by `postroom sieve test`: the same actions, or a difference
that is explained in EXPLAINED. Each extension that both have stands in SCRIPTS with at least five scripts."""

import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import postroom  # noqa: E402

PARTS = """\
Return-Path: <juergen+box@example.org>
Delivered-To: alice@example.test
Received: from a by b; Thu, 23 Jul 2009 01:00:00 +0200
Received: from c by a; Wed, 22 Jul 2009 23:30:10 +0200
From: =?iso-8859-1?q?J=FCrgen?= <juergen+box@example.org>, "B, C" <b@example.org>
To: team: alice@example.test, bob@example.test, alice+detail@example.test;
Cc: undisclosed-recipients:;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?=
 =?utf-8?q?_K=C3=B6ln?= [list] number 10
Date: Wed, 22 Jul 2009 23:30:00 +0200
X-Number: 10
X-Text: some words here
X-Text: other words
X-Empty:
X-Spam-Score: 5
X-Virus-Score: 2
Message-ID: <parts@example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

This is a multi-part message in MIME format.
--outer
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Hello, wor=
ld. Gr=FC=DFe.
--outer
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+Qm9sZDwvYj4=
--outer
Content-Type: application/pdf; name="important.pdf"
Content-Disposition: attachment; filename="important.pdf"
Content-MD5: x

%PDF
--outer
Content-Type: message/rfc822

From: Someone Else <else@example.net>
Subject: hello request

Please say Hello
--outer--
This is the end of the outer MIME multipart.
"""
SENDER, RECEIVER = "juergen+box@example.org", "alice+detail@example.test"
NUMERIC = ':comparator "i;ascii-numeric"'

# For each extension: tests (run as `if TEST { fileinto "yes"; }`) or whole bodies of scripts (those that end in ; or }).
SCRIPTS = {
    "base": [
        'header :is "x-number" "10"', 'header :is "x-empty" ""', 'header :is "x-none" ""', 'header :contains "x-empty" ""',
        'header :contains ["x-none", "x-text"] ["nothing", "words"]', 'header :matches "x-text" "some*"',
        'header :matches "x-text" "s?me *"', 'header :matches "x-text" "s?m"', 'header :matches "x-text" "*\\\\**"',
        'header :matches "subject" "*aus*10"', 'header :contains "subject" "grüße aus köln"', 'header :is "x-text" "OTHER words"',
        'header :comparator "i;octet" :is "x-text" "OTHER words"', 'header :comparator "i;octet" :contains "x-text" "other"',
        'exists ["from", "x-empty"]', 'exists ["from", "x-none"]', 'not exists "x-none"', 'size :over 100', 'size :over 1M',
        'size :under 1K', 'size :under 10K', 'anyof (false, true)', 'allof (true, false)', 'allof (true, not false)',
        'not anyof (false, false)', 'address :is "from" "b@example.org"', 'address :localpart "from" "JUERGEN+box"',
        'address :domain "to" "example.test"', 'address :all "to" "bob@example.test"', 'address :contains "cc" "undisclosed"',
        'address :matches "from" "*@example.*"', 'header :matches "from" "*Jürgen*"', 'header :contains "content-type" "multipart"',
        'keep;', 'discard;', 'stop;', 'fileinto "a"; fileinto "b";', 'fileinto "a"; fileinto "a";', 'keep; keep;', 'discard; keep;',
        'redirect "a@b.example";', 'redirect "a@b.example"; redirect "a@b.example";', 'redirect "a@b.example"; keep;',
        'if false { discard; } elsif true { fileinto "e"; } else { keep; }', 'if true { stop; } discard;',
        'fileinto text:\nname\n.\n;', 'fileinto "a\\"b";', 'if size :over 4G { discard; }',
        # errors
        'keep', 'nope;', 'if true keep;', 'if { keep; }', 'else { keep; }', 'if header "a" { }', 'if header :foo "a" "b" { }',
        'if header :is :contains "a" "b" { }', 'if header "a" 5 { }', 'if size 5 { }', 'if not { }', 'if allof true { }',
        'redirect "nobody";', 'if header :comparator "x" "a" "b" { }', 'keep "x";', 'if true { keep; ', 'fileinto "a', '/* x',
        'if address "subject" "x" { }', 'require "nope";', 'if (true) { keep; }', 'true;', 'if keep { }',
    ],
    "envelope": [
        'envelope "from" "juergen+box@example.org"', 'envelope :localpart "to" "alice+detail"', 'envelope :domain :is "from" "EXAMPLE.org"',
        'envelope ["from", "to"] "alice+detail@example.test"', 'envelope :matches "to" "*@example.test"', 'envelope "from" "x"',
    ],
    "subaddress": [
        'envelope :detail "to" "detail"', 'envelope :user "to" "alice"', 'address :detail "from" "box"', 'address :user "from" "b"',
        'address :detail "from" ""', 'address :detail :matches "to" "*"', 'envelope :detail :contains "to" ""',
    ],
    "encoded-character": [
        'header :contains "x-text" "${hex:77 6f}rds"', 'header :contains "x-text" "${unicode:77}ords"', 'fileinto "${hex:40";',
        'fileinto "${hex:400}";', 'fileinto "${hex:4${hex:30}}";', 'fileinto "${Unicode:Cool}";', 'fileinto "${unicode:20ac}";',
        'fileinto "${unicode:200000}";', 'fileinto "${unicode:DF01}";', 'fileinto "$${hex:40}";',
    ],
    "relational": [
        f'header :value "gt" {NUMERIC} "x-number" "9"', 'header :value "gt" "x-number" "9"', f'header :count "eq" {NUMERIC} "x-text" "2"',
        f'header :count "ge" {NUMERIC} ["x-text", "received"] "4"', f'header :count "gt" {NUMERIC} "x-none" "0"',
        f'header :value "le" {NUMERIC} "x-number" "10"', f'header :value "ne" {NUMERIC} "x-number" "10"',
        f'address :count "eq" {NUMERIC} "to" "3"', f'address :count "eq" {NUMERIC} "from" "2"', 'header :value "lt" "x-text" "p"',
        'if header :value "foo" "a" "b" { }', f'envelope :count "eq" {NUMERIC} "from" "1"',
    ],
    "comparator-i;ascii-numeric": [
        f'header :is {NUMERIC} "x-number" "010"', f'header :is {NUMERIC} "x-number" "10abc"', f'header :is {NUMERIC} "x-text" "abc"',
        f'header :is {NUMERIC} "x-empty" "0"', f'header :value "ge" {NUMERIC} "x-text" "5"', f'if header :contains {NUMERIC} "a" "b" {{ }}',
        f'if header :matches {NUMERIC} "a" "b" {{ }}',
    ],
    "variables": [
        'if header :matches "x-text" "* *" { fileinto "${1}|${2}"; }', 'if header :matches "subject" "*[*] *" { fileinto "${2}:${3}"; }',
        'if header :matches "x-number" "??" { fileinto "${2}${1}${0}"; }', 'set "a" "b"; fileinto "x${a}y${A}";',
        'set :upper "a" "bC"; fileinto "${a}";', 'set :lowerfirst :upper "a" "bC"; fileinto "${a}";', 'set :length "a" "abcé"; fileinto "${a}";',
        'set :quotewildcard "a" "a*b?c"; fileinto "${a}";', 'set "a" "${b}"; fileinto "x${a}";', 'fileinto "${a b}";',
        'set "d" "$"; fileinto "${d}{x}";', 'set "a" "x"; fileinto "${${a}}";', 'if string "a" "A" { discard; }',
        'set "s" "one two"; if string :matches "${s}" "* two" { fileinto "${1}"; }', 'string :is " a" "a"', 'set "1" "x";', 'set "a.b" "x";',
        'set :upper :lower "a" "x";', 'fileinto "${a.b}";', f'string :count "eq" {NUMERIC} ["a", "", "b"] "2"',
        'if address :matches "from" "*@*.*" { fileinto "${1}|${2}|${3}"; }', 'if header :matches "x-text" "*" { } fileinto "${1}";',
        'if anyof (false, header :matches "x-text" "o*s") { fileinto "${1}"; }', 'fileinto "${99}";',
    ],
    "copy": [
        'fileinto :copy "a";', 'redirect :copy "a@b.example";', 'fileinto :copy "a"; discard;', 'fileinto :copy "a"; fileinto "b";',
        'redirect :copy "a@b.example"; keep;', 'keep :copy;',
    ],
    "imap4flags": [
        'setflag "\\\\Deleted"; keep;', 'addflag ["a", "b"]; addflag "c a"; keep;', 'setflag "A B C"; removeflag "b"; fileinto "x";',
        'setflag "x"; fileinto :flags "y z" "a"; keep;', 'setflag "v" "a b"; fileinto :flags "${v}" "x";', 'addflag "a";', 'keep :flags "";',
        'setflag "A B"; if hasflag "b" { discard; }', 'setflag "A B"; if hasflag :contains "v" "b" { discard; }',
        f'setflag "A B"; if hasflag :count "eq" {NUMERIC} "2" {{ discard; }}', 'setflag "v" "A B"; if hasflag "v" ["c", "b"] { discard; }',
        'setflag "A"; if hasflag :matches "?" { discard; }', 'setflag "\\\\Seen \\\\seen"; keep;',
    ],
    "body": [
        'body :contains "hello, world"', 'body :text :contains "grüße"', 'body :raw :contains "wor="', 'body :raw :contains "Subject: Gr"',
        'body :content "text/html" :contains "bold"', 'body :content "application" :contains "%PDF"', 'body :content "audio" :contains ""',
        'body :content "text" :matches "*world*"', 'body :raw :contains "--outer"', 'body :content "text/plain" :is "nothing"',
        'if body :raw :text "a" { }',
    ],
    "date": [
        f'date :originalzone "date" "{part}" "{value}"' for part, value in [
            ("year", "2009"), ("month", "07"), ("day", "22"), ("date", "2009-07-22"), ("julian", "55034"), ("hour", "23"), ("minute", "30"),
            ("second", "00"), ("time", "23:30:00"), ("iso8601", "2009-07-22T23:30:00+02:00"), ("std11", "Wed, 22 Jul 2009 23:30:00 +0200"),
            ("zone", "+0200"), ("weekday", "3")]] + [
        'date :zone "+0300" "date" "date" "2009-07-23"', 'date "date" "hour" "21"', 'date "received" "day" "22"', 'date "subject" "year" "2009"',
        'currentdate :value "ge" "year" "2020"', 'currentdate :zone "+0200" "zone" "+0200"', 'currentdate :matches "date" "????-??-??"',
        'if date :zone "+0000" :originalzone "date" "hour" "1" { }',
    ],
    "index": [
        'header :index 1 "x-text" "some words here"', 'header :index 2 "x-text" "some words here"', 'header :index 1 :last "x-text" "other words"',
        'header :index 3 "x-text" ""', 'date :originalzone :index 2 "received" "day" "22"', 'date :index 2 :originalzone "received" "day" "22"', 'address :index 1 "from" "b@example.org"',
        'if header :last "x-text" "a" { }',
    ],
    "reject": [
        'reject "no";', 'reject text:\nno\nway\n.\n;', 'keep; reject "no";', 'reject "no"; keep;', 'reject "a"; reject "b";', 'discard; reject "no";',
        'reject "no"; fileinto "x";', 'reject;',
    ],
    "vacation": [
        'vacation "away";', 'vacation :subject "Gone" "away"; discard;', 'vacation :days 3 "away"; keep;', 'vacation :addresses "x@y.example" "away";',
        'vacation "a"; vacation "b";', 'vacation :from "nobody" "a";', 'vacation :handle "h" :mime "Content-Type: text/plain\n\nx";',
        'vacation :days;', 'reject "x"; vacation "y";', 'vacation :bogus "x";',
    ],
    "vacation-seconds": [
        'vacation :seconds 1800 "x";', 'vacation :seconds 0 "x";', 'vacation :seconds 5 :days 1 "x";', 'vacation :seconds "5" "x";',
        'vacation :seconds 100000 :subject "s" "x"; discard;',
    ],
    "regex": [
        'header :regex "x-text" "^some (w[a-z]+)"', 'header :regex "x-text" "(foo|other) words$"', 'header :regex "x-number" "^[[:digit:]]{2}$"',
        'header :regex "x-text" "^words"', 'if header :regex "x-text" "(s[a-z]*) (w[a-z]*)" { fileinto "${1}-${2}-${0}"; }',
        'header :comparator "i;octet" :regex "x-text" "SOME"', 'address :regex "from" "^b@"', 'if header :regex "x" "(" { }',
        'header :regex "x-empty" "^$"', 'if header :regex "x-text" "o(t)(x)?h" { fileinto "a${1}${2}b"; }',
    ],
    "mailbox": [
        'fileinto :create "New";', 'fileinto :create "New/Deep"; keep;', 'if true { fileinto :create "${x}y"; }', 'keep :create;',
        'fileinto :create :copy "New";',
    ],
    "ihave": [
        'if ihave "fileinto" { fileinto "x"; }', 'if ihave "nope" { nope "x"; }', 'if not ihave "nope" { error "x"; }',
        'if anyof (true, ihave "x") { keep; }', 'if ihave ["copy", "nope"] { discard; }', 'error "why";',
    ],
    "environment": [
        'environment "name" "x"', 'environment :contains "vnd.none" ""', 'environment :contains "remote-ip" "1"', 'environment "nothing" ""',
        'not environment "phase" "x"', 'if environment { }',
    ],
    "include": [
        'include "keep";', 'include "set"; fileinto "x${l}";', 'global "g"; include "set"; fileinto "${g}";', 'return; discard;',
        'include :optional "none"; keep;', 'include :once "keep"; include :once "keep";', 'include "return"; fileinto "after";',
        'include "loop";', 'include "stop"; discard;',
    ],
    "duplicate": [
        'if duplicate { discard; }', 'if duplicate :header "x-none" { discard; }', 'if duplicate :uniqueid "x" :handle "y" { discard; }',
        'if duplicate :header "a" :uniqueid "b" { }', 'if duplicate :seconds 0 { discard; }', 'if duplicate :last { keep; }',
    ],
    "editheader": [
        'addheader "X-A" "b"; if header "x-a" "b" { fileinto "yes"; }', 'deleteheader "x-text"; if not exists "x-text" { fileinto "gone"; }',
        'deleteheader :index 1 "x-text"; if header "x-text" "other words" { fileinto "one"; }',
        'deleteheader :contains "x-text" "some"; if not header :contains "x-text" "some" { fileinto "one"; }',
        'addheader :last "X-Text" "z"; if header :index 1 :last "x-text" "z" { fileinto "last"; }',
        'deleteheader "received"; if exists "received" { fileinto "kept"; }', 'deleteheader :last "x";', 'addheader "a b" "c";',
    ],
    "mime": [
        'header :mime :anychild :contenttype "content-type" "text/html"', 'header :mime :type "content-type" "multipart"',
        'header :mime :anychild :param "filename" "content-disposition" "important.pdf"', 'exists :mime :anychild "content-md5"',
        'exists :mime "content-md5"', 'header :mime :anychild :subtype "content-type" "pdf"', 'header :mime :anychild :contains "subject" "request"',
        'address :mime :anychild "from" "else@example.net"', 'if header :anychild "a" "b" { }',
    ],
    "foreverypart": [
        'set "n" ""; foreverypart { if header :mime :type "content-type" "text" { set "n" "${n}x"; } } fileinto "n${n}";',
        'foreverypart { fileinto "a"; break; }', 'foreverypart :name "o" { foreverypart { fileinto "i"; break :name "o"; } } fileinto "z";',
        'break;', 'foreverypart { break :name "x"; }', 'foreverypart { if header :mime :subtype "content-type" "pdf" { fileinto "pdf"; } }',
    ],
    "extracttext": [
        'foreverypart { if header :mime :subtype "content-type" "plain" { extracttext :first 5 "t"; fileinto "${t}"; break; } }',
        'foreverypart { if header :mime :subtype "content-type" "html" { extracttext :upper "t"; fileinto "x${t}"; } }',
        'extracttext "t";', 'foreverypart { extracttext :first 0 "t"; }',
        'foreverypart { if header :mime :subtype "content-type" "plain" { extracttext :length "t"; fileinto "${t}"; break; } }',
    ],
    "enotify": [
        'notify "mailto:a@b.example";', 'notify :message "hello" :importance "1" "mailto:a@b.example"; discard;', 'notify :importance "9" "mailto:a@b.example";',
        'valid_notify_method "mailto:a@b.example"', 'valid_notify_method ["mailto:a@b.example", "http://x/"]',
        'notify_method_capability "mailto:a@b.example" "online" "maybe"', 'notify "tel:+1";', 'set :encodeurl "u" "a b/c"; fileinto "${u}";',
    ],
    "spamtest": [
        f'spamtest :value "ge" {NUMERIC} "5"', f'spamtest :value "gt" {NUMERIC} "5"', 'spamtest "5"', f'spamtest :value "eq" {NUMERIC} "0"',
        f'spamtest :count "eq" {NUMERIC} "1"', 'if spamtest :percent "50" { }', 'if spamtest ["5"] { }', 'if spamtest { }',
    ],
    "spamtestplus": [
        'spamtest :percent "50"', f'spamtest :percent :value "lt" {NUMERIC} "51"', f'spamtest :percent :value "ge" {NUMERIC} "51"',
        f'spamtest :percent :count "eq" {NUMERIC} "1"', 'spamtest "5"', 'if spamtest :percent :percent "5" { }',
    ],
    "virustest": [
        'virustest "2"', f'virustest :value "ge" {NUMERIC} "2"', f'virustest :value "eq" {NUMERIC} "5"', f'virustest :count "eq" {NUMERIC} "1"',
        'if virustest :percent "5" { }', 'if virustest { }',
    ],
    "special-use": [
        'specialuse_exists "\\\\Junk"', 'not specialuse_exists "INBOX" ["\\\\Junk", "\\\\Sent"]', 'fileinto :specialuse "\\\\Junk" "Spam";',
        'fileinto :specialuse "\\\\Junk" :create "Spam"; keep;', 'fileinto :copy :specialuse "\\\\Archive" "Old";', 'keep :specialuse "\\\\Junk";',
        'fileinto :specialuse "Spam";', 'if specialuse_exists { }', 'specialuse_exists []',
    ],
    "mboxmetadata": [
        'metadata "INBOX" "/private/comment" "x"', 'metadata :contains "INBOX" "/shared/comment" ""', 'metadataexists "INBOX" "/private/comment"',
        'not metadataexists "INBOX" ["/private/comment", "/shared/x"]', 'metadataexists "None" "/private/comment"',
        f'metadata :count "eq" {NUMERIC} "INBOX" "/private/comment" "0"', 'if metadata "INBOX" "/private/comment" { }', 'if metadataexists "INBOX" { }',
    ],
    "servermetadata": [
        'servermetadata "/private/comment" "x"', 'servermetadata :contains "/shared/admin" ""', 'servermetadataexists "/shared/none"',
        'not servermetadataexists ["/private/comment", "/shared/x"]', f'servermetadata :count "eq" {NUMERIC} "/private/comment" "0"',
        'if servermetadata "/private/comment" { }', 'if servermetadataexists { }',
    ],
    "imapsieve": [
        'environment "imap.cause" "COPY"', 'not environment :contains "imap.mailbox" ""', 'environment :matches "imap.changedflags" "*"',
        'if not environment :contains "imap.user" "" { fileinto "mail"; } else { discard; }', 'if environment "imap.cause" ["APPEND", "COPY", "FLAG"] { stop; } keep;',
        'keep; discard;',
    ],
}

IMAP_ONLY = "RFC 6785 4.2 says what a script that requires imapsieve sees at delivery; for sieve-test it is an error"
# What differs, and why. Keys are the body of the script.
EXPLAINED = {
    'metadataexists "None" "/private/comment"': "a mailbox that is missing has no annotations; for sieve-test it is an error",
    f'metadata :count "eq" {NUMERIC} "INBOX" "/private/comment" "0"': "RFC 5231 4.2: what is not there counts 0; sieve-test says no to any count",
    f'servermetadata :count "eq" {NUMERIC} "/private/comment" "0"': "the same",
    'environment "imap.cause" "COPY"': IMAP_ONLY, 'not environment :contains "imap.mailbox" ""': IMAP_ONLY,
    'environment :matches "imap.changedflags" "*"': IMAP_ONLY, 'keep; discard;': IMAP_ONLY,
    'if not environment :contains "imap.user" "" { fileinto "mail"; } else { discard; }': IMAP_ONLY,
    'if environment "imap.cause" ["APPEND", "COPY", "FLAG"] { stop; } keep;': IMAP_ONLY,
    'address :contains "cc" "undisclosed"': "a group without members holds no address; sieve-test compares its text",
    'fileinto text:\nname\n.\n;': "a line end is no part of a mailbox's name: we say so, sieve-test replaces it",
    'if string "a" "A" { discard; }': "RFC 5228 2.7.3: the default comparator is i;ascii-casemap, for this test, too",
    'date :index 2 :originalzone "received" "day" "22"': "sieve-test forgets :index when an option for the zone follows it",
    'fileinto "${a.b}";': "RFC 5229 3: an error; sieve-test prints it and goes on",
    'fileinto "${99}";': "RFC 5229 6: an error; sieve-test prints it and goes on",
    'deleteheader :last "x";': "RFC 5293 5: an error; sieve-test prints it and goes on",
    'metadataexists "None" "/private/comment"': "a mailbox that is missing has no annotations; for sieve-test it is an error",
    f'metadata :count "eq" {NUMERIC} "INBOX" "/private/comment" "0"': "RFC 5231 4.2: what is not there counts 0; sieve-test says no to any count",
    f'servermetadata :count "eq" {NUMERIC} "/private/comment" "0"': "the same",
    'environment "imap.cause" "COPY"': IMAP_ONLY, 'not environment :contains "imap.mailbox" ""': IMAP_ONLY,
    'environment :matches "imap.changedflags" "*"': IMAP_ONLY, 'keep; discard;': IMAP_ONLY,
    'if not environment :contains "imap.user" "" { fileinto "mail"; } else { discard; }': IMAP_ONLY,
    'if environment "imap.cause" ["APPEND", "COPY", "FLAG"] { stop; } keep;': IMAP_ONLY,
    'foreverypart { if header :mime :subtype "content-type" "html" { extracttext :upper "t"; fileinto "x${t}"; } }':
        "RFC 5703 7 stores the part's text; sieve-test strips HTML tags from it",
}

INCLUDED = {
    "keep": 'keep;', "set": 'require ["include", "variables"]; global "g"; set "g" "G"; set "l" "L";', "return": 'require "include"; return; discard;',
    "stop": 'stop;', "loop": 'require "include"; include "loop";',
}
ALWAYS = ["fileinto", "variables", "relational", "comparator-i;ascii-numeric"]
NEEDS = {"subaddress": ["envelope"], "vacation": ["reject"], "vacation-seconds": ["vacation"], "index": ["date"], "extracttext": ["foreverypart", "mime"],
         "foreverypart": ["mime"], "special-use": ["mailbox", "copy"], "imapsieve": ["environment"], "mailbox": ["copy"], "editheader": ["index"]}
CASES = [(name, body) for name, bodies in SCRIPTS.items() for body in bodies]


def script_of(extension, body):
    required = ALWAYS + ([extension] if extension != "base" else []) + NEEDS.get(extension, [])
    if not body.rstrip().endswith((";", "}")) and re.match(r"(header|address|envelope|exists|size|not |anyof|allof|string|body|date|currentdate|"
                                                          r"environment|valid_|notify_|spamtest|virustest|specialuse|metadata|servermetadata)", body):
        body = f'if {body} {{ fileinto "yes"; }}'
    return "require " + json.dumps(required) + ";\n" + body


@pytest.fixture(scope="module")
def bench():
    """The two programs, as functions from a script to ("error",) or a list of actions."""
    if not shutil.which("sieve-test"):
        pytest.skip("sieve-test is not installed (package dovecot-sieve): ./quickstart peers")
    # Not below pytest's folder, which every run of pytest closes to others; sieve-test works as another user.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postroom-sieve-"))
    if os.geteuid() == 0:
        folder.chmod(0o777)
    message = folder / "message.eml"
    message.write_text(PARTS)
    for name, text in INCLUDED.items():
        (folder / f"{name}.sieve").write_text(text)
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    conf = folder / "dovecot.conf"
    conf.write_text(f"""log_path = /dev/stderr
mail_location = maildir:{folder}/mail
mail_home = {folder}
mail_uid = {owner.pw_uid}
mail_gid = {owner.pw_gid}
first_valid_uid = 1
mail_attribute_dict = file:{folder}/attributes
postmaster_address = postmaster@example.test
hostname = h.example.test
plugin {{
  sieve = file:{folder};active={folder}/active.sieve
  sieve_plugins = sieve_imapsieve
  sieve_extensions = +editheader +vacation-seconds +spamtest +spamtestplus +virustest +mboxmetadata +servermetadata +special-use +imapsieve
  sieve_spamtest_status_type = score
  sieve_spamtest_status_header = X-Spam-Score: ([0-9]+)
  sieve_spamtest_max_value = 10
  sieve_virustest_status_type = score
  sieve_virustest_status_header = X-Virus-Score: ([0-9]+)
  sieve_virustest_max_value = 5
  sieve_vacation_min_period = 0
}}
""")
    path = folder / "script.sieve"
    env = dict(os.environ, TZ="UTC")

    def theirs(script):
        path.write_text(script)
        done = subprocess.run(["sieve-test", "-C", "-c", conf, "-f", SENDER, "-r", RECEIVER, "-a", RECEIVER, path, message],
                              capture_output=True, text=True, env=env, timeout=60, check=False, errors="replace")
        return parse_theirs(done), done

    def ours(script):
        path.write_text(script)
        done = subprocess.run([postroom.BIN / "postroom", "--json", "sieve", "test", path, message, "--from", SENDER, "--to", RECEIVER,
                               "--spam", "50", "--virus", "2"],
                              capture_output=True, text=True, env=env, timeout=60, check=False, errors="replace")
        return parse_ours(done), done

    yield ours, theirs
    shutil.rmtree(folder, ignore_errors=True)


def parse_theirs(done):
    if "failed to compile" in done.stderr:
        return "error"
    if "final result: failed" in done.stderr:
        return "failed"
    assert "final result: success" in done.stderr, done.stderr + done.stdout
    actions = []
    for line in done.stdout.splitlines():
        if line.startswith(" * "):
            actions.append([line[3:]])
        elif line.startswith(("        + ", "    => ", "       + ")) and actions:
            actions[-1].append(line.strip())
    plain = []
    for what, *details in actions:
        flags = sorted(word.lower() for d in details if d.startswith("+ add IMAP flags: ") for word in d.split(": ")[1].split())
        if what.startswith("store message in folder: "):
            plain.append(("store", what.split(": ", 1)[1], *flags))
        elif what.startswith("redirect message to: "):
            plain.append(("redirect", what.split("<")[1].rstrip(">")))
        elif what.startswith("reject message"):
            plain.append(("reject", ))
        elif what.startswith("send vacation"):
            plain.append(("vacation", ))
        elif what.startswith("send notification"):
            plain.append(("notify", ))
        elif not what.startswith(("discard", "track ")):
            plain.append((what, ))
    return sorted(plain)


def parse_ours(done):
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(done.stdout)
    if rows and "error" in rows[0]:
        return "error"
    if done.returncode:
        return "failed"
    plain = []
    for row in rows:
        flags = sorted(flag.lower() for flag in row["flags"])
        if row["action"] in ("keep", "fileinto"):
            plain.append(("store", row["target"] or "INBOX", *flags))
        elif row["action"] == "redirect":
            plain.append(("redirect", row["target"]))
        elif row["action"] in ("reject", "ereject"):
            plain.append(("reject", ))
        elif row["action"] in ("vacation", "notify"):
            plain.append((row["action"], ))
    return sorted(plain)


def test_there_are_enough_scripts_of_each_extension_that_both_have(bench):
    ours, theirs = bench
    names = {row["extension"] for row in json.loads(subprocess.run([postroom.BIN / "postroom", "--json", "sieve", "extensions"],
                                                                   capture_output=True, text=True, check=True).stdout)}
    names -= {"comparator-i;octet", "comparator-i;ascii-casemap"}       # of the base language
    common = {name for name in names if theirs(f'require "{name}";')[0] != "error"}
    assert common - set(SCRIPTS) <= set(ALWAYS) and set(SCRIPTS) - common == {"base"}
    assert len(CASES) >= 200
    assert all(len(bodies) >= 5 for bodies in SCRIPTS.values())
    assert set(EXPLAINED) <= {body for _, body in CASES}


@pytest.mark.parametrize("extension", SCRIPTS)
def test_same_actions(bench, extension):
    ours, theirs = bench
    differences = []
    for body in SCRIPTS[extension]:
        script = script_of(extension, body)
        mine, mine_done = ours(script)
        other, other_done = theirs(script)
        if (mine != other) != (body in EXPLAINED):
            differences.append(f"--- {script}\nours:   {mine} {mine_done.stdout[:300]} {mine_done.stderr[:300]}\n"
                               f"theirs: {other} {other_done.stderr[:400]}")
    assert not differences, "\n".join(differences)


def test_the_table_in_the_documentation_says_which_extensions_are_compared():
    text = (pathlib.Path(__file__).resolve().parents[2] / "doc" / "sieve.md").read_text().split("\n## Extensions\n")[1].split("\n## ")[0]
    said = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3].startswith("D") and cells[3] != "D":
            said |= set(re.findall(r"`([^`]+)`", cells[3]))
        elif len(cells) == 4 and cells[3] == "D":
            said |= set(re.findall(r"`([^`]+)`", cells[0]))
    assert said - {"comparator-i;octet", "comparator-i;ascii-casemap"} == set(SCRIPTS) - {"base"} | set(ALWAYS)
    assert f"{len(CASES)} scripts in all" in text and f"{len(EXPLAINED)} differ" in text
