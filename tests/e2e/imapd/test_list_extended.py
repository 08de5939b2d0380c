"""LIST-EXTENDED: the examples of RFC 5258 §5, less what lies on other servers."""

import pytest

import imap


def listed(reply):
    """{name: (attributes, CHILDINFO)} of all LIST responses, in their order."""
    out = {}
    for text in reply.all("LIST"):
        p = imap.Parser(b"(" + text + b")")
        attributes, delimiter, name, *more = p.list()
        p.end()
        assert delimiter == b"/" and name.decode() not in out
        out[name.decode()] = ({a.decode() for a in attributes}, more[0] if more else None)
    return out


SUBSCRIBED_BELOW = [b"CHILDINFO", [b"SUBSCRIBED"]]


@pytest.fixture
def tree(client):
    """make(*mailboxes, subscribed=(...)): exactly these and INBOX, exactly those subscriptions."""
    def make(*mailboxes, subscribed=()):
        for _ in range(3):
            for name, (attributes, _) in reversed(listed(client.ok('LIST "" "*"')).items()):
                if name != "INBOX" and "\\NonExistent" not in attributes:
                    client.ok(f'DELETE "{name}"')
        for name in mailboxes:
            client.cmd(f'CREATE "{name}"')
        for name in listed(client.ok('LIST (SUBSCRIBED) "" "*"')):
            client.ok(f'UNSUBSCRIBE "{name}"')
        for name in subscribed:
            client.ok(f'SUBSCRIBE "{name}"')
        return client
    return make


def having(found, attribute):
    return {name for name, (attributes, _) in found.items() if attribute in attributes}


def test_examples_1_to_3(tree):
    c = tree("Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable/Broccoli", "Vegetable/Corn",
             subscribed=("INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"))
    assert list(listed(c.ok('LIST "" "*"'))) == ["INBOX", "Fruit", "Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable",
                                                 "Vegetable/Broccoli", "Vegetable/Corn"]
    found = listed(c.ok('LIST (SUBSCRIBED) "" "*"'))
    assert set(found) == {"INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"}
    assert having(found, "\\Subscribed") == set(found) and having(found, "\\NonExistent") == {"Fruit/Peach"}
    found = listed(c.ok('LIST () "" "%" RETURN (CHILDREN)'))
    assert set(found) == {"INBOX", "Fruit", "Tofu", "Vegetable"}
    assert having(found, "\\HasChildren") == {"Fruit", "Vegetable"}
    assert having(found, "\\HasNoChildren") == {"INBOX", "Tofu"}
    # Examples 4 to 6 without anything remote: the option changes nothing.
    assert c.ok('LIST (REMOTE SUBSCRIBED) "" "*"').untagged == c.ok('LIST (SUBSCRIBED) "" "*"').untagged
    found = listed(c.ok('LIST (REMOTE) "" "*" RETURN (SUBSCRIBED)'))
    assert "Fruit/Peach" not in found
    assert having(found, "\\Subscribed") == {"INBOX", "Fruit/Banana", "Vegetable", "Vegetable/Broccoli"}


def test_example_7(tree):
    c = tree("Drafts", "Sent/March2004", "Sent/December2003", "Sent/August2004", "Sent/August2004/deep", "Other")
    found = listed(c.ok('LIST "" ("INBOX" "Drafts" "Sent/%")'))
    assert set(found) == {"INBOX", "Drafts", "Sent/March2004", "Sent/December2003", "Sent/August2004"}


def test_example_8(tree):
    c = tree("Foo/Bar", "Foo/Baz", "Moo", subscribed=("Foo/Baz",))
    assert having(listed(c.ok('LIST "" "%" RETURN (CHILDREN)')), "\\HasChildren") == {"Foo"}
    assert listed(c.ok('LIST (SUBSCRIBED) "" "*"')).keys() == {"Foo/Baz"}
    assert not listed(c.ok('LIST (SUBSCRIBED) "" "%"'))
    recursive = 'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"'
    found = listed(c.ok(recursive))
    assert found.keys() == {"Foo"} and found["Foo"][1] == SUBSCRIBED_BELOW and "\\Subscribed" not in found["Foo"][0]
    c.ok("SUBSCRIBE Foo")                                        # A1
    found = listed(c.ok(recursive))
    assert found["Foo"] == ({"\\HasChildren", "\\Subscribed"}, SUBSCRIBED_BELOW)
    c.ok("UNSUBSCRIBE Foo")                                      # A2
    c.ok("DELETE Foo")
    found = listed(c.ok(recursive))
    assert found.keys() == {"Foo"} and found["Foo"][1] == SUBSCRIBED_BELOW and "\\NonExistent" in found["Foo"][0]
    c.ok("UNSUBSCRIBE Foo/Baz")                                  # B
    assert not listed(c.ok(recursive))
    c.ok("CREATE Foo")                                           # C
    c.ok("SUBSCRIBE Moo")
    found = listed(c.ok(recursive + " RETURN (CHILDREN)"))
    assert found == {"Foo": ({"\\HasChildren", "\\Subscribed"}, None), "Moo": ({"\\HasNoChildren", "\\Subscribed"}, None)}


def test_example_9(tree):
    subscribed = ("foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2", "eps2/mamba", "qux2/bar2")
    c = tree("foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2/mamba", "qux2/bar2",
             subscribed=subscribed)
    c.ok("DELETE qux2")
    assert set(listed(c.ok('LIST (SUBSCRIBED) "" "*"'))) == set(subscribed)
    found = listed(c.ok('LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"'))
    assert set(found) - {"baz2", "qux2"} == {"foo2", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2",
                                             "qux2/bar2"}
    assert found["foo2"][1] == found["eps2"][1] == SUBSCRIBED_BELOW
    assert having(found, "\\Subscribed") == set(found) - {"foo2", "baz2", "qux2"}
    found = listed(c.ok('LIST (RECURSIVEMATCH SUBSCRIBED) "" "*"'))
    assert set(found) - {"qux2"} == set(subscribed) | {"foo2", "baz2"}
    assert all(found[name][1] == SUBSCRIBED_BELOW for name in ("foo2", "baz2", "eps2"))


def test_example_10(tree):
    c = tree("foo", subscribed=("foo/bar",))
    assert listed(c.ok('LIST "" ("foo" "foo/*")')).keys() == {"foo"}
    found = listed(c.ok('LIST (SUBSCRIBED) "" "foo/*"'))
    assert found.keys() == {"foo/bar"} and {"\\Subscribed", "\\NonExistent"} <= found["foo/bar"][0]
    assert listed(c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" foo RETURN (CHILDREN)')) == \
        {"foo": ({"\\HasNoChildren"}, SUBSCRIBED_BELOW)}


def test_example_11(tree):
    c = tree("music/rock")
    c.ok("DELETE music")
    found = listed(c.ok('LIST () "" %'))
    assert {"\\NonExistent", "\\HasChildren"} <= found["music"][0]
    found = listed(c.ok('LIST "" (% music/rock)'))
    assert "music/rock" in found
