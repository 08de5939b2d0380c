"""NOTIFY against a model: whoever hears of everything knows, in the end, what a new session would be told."""

import random

import pytest

import imap
from postroom import message
from test_list_extended import listed
from test_notify import status

WISH = "NOTIFY SET STATUS (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))"
ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN")


class Model:
    """What the listener believes: {name: (is subscribed, {item: number})}."""

    def __init__(self, client):
        self.boxes = {}
        self.take(client.ok('LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))').untagged)
        self.take(client.ok(WISH).untagged)

    def take(self, lines):
        for line in lines:
            if line.startswith(b"* STATUS "):
                name, items = status(line)
                if name in self.boxes:
                    self.boxes[name][1].update(items)
            elif line.startswith(b"* LIST "):
                self.take_list(line)

    def take_list(self, line):
        p = imap.Parser(b"(" + line[7:] + b")")
        attributes, _, name, *more = p.list()
        name, attributes = name.decode(), {a.decode() for a in attributes}
        old = more[0][1][0].decode() if more and more[0][0] == b"OLDNAME" else None
        if old:         # its children go along
            for was in [n for n in self.boxes if n == old or n.startswith(old + "/")]:
                self.boxes[name + was[len(old):]] = self.boxes.pop(was)
        if "\\NonExistent" in attributes:
            self.boxes.pop(name, None)
            return
        _, items = self.boxes.get(name, (False, {}))
        self.boxes[name] = ("\\Subscribed" in attributes, items)


def truth(c):
    reply = c.ok('LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))')
    counters = dict(status(u) for u in reply.untagged if u.startswith(b"* STATUS"))
    return {name: ("\\Subscribed" in attributes, counters[name])
            for name, (attributes, _) in listed(reply).items() if "\\NonExistent" not in attributes}


def act(rng, hands, n):
    """One step of somebody; what cannot be done is not done."""
    hand = rng.choice(hands)
    names = [f"m{rng.randrange(6)}", f"m{rng.randrange(6)}/s{rng.randrange(2)}", "INBOX", "Archive"]
    name = rng.choice(names)
    step = rng.randrange(10)
    if step < 3:
        hand.cmd(f"APPEND {name} {rng.choice(['', '(%sSeen) ' % chr(92)])}", message(str(n)))
    elif step == 3:
        hand.cmd(f"CREATE {name}")
    elif step == 4 and name.startswith("m"):
        hand.cmd(f"DELETE {name}")
    elif step == 5 and name.startswith("m"):
        hand.cmd(f"RENAME {name} {rng.choice(names[:2])}")
    elif step == 6:
        hand.cmd(f"{rng.choice(['SUBSCRIBE', 'UNSUBSCRIBE'])} {name}")
    elif hand.cmd(f"SELECT {name}").status == "OK":
        if step == 7:
            hand.cmd(rng.choice([r"STORE 1:* +FLAGS.SILENT (\Seen)", r"STORE 1:* -FLAGS.SILENT (\Seen)",
                                 r"STORE 1 FLAGS.SILENT (\Flagged)"]))
        elif step == 8:
            hand.cmd(r"STORE 1 +FLAGS.SILENT (\Deleted)")
            hand.cmd("EXPUNGE")
        else:
            hand.cmd(f"MOVE 1 {rng.choice(names)}")
        hand.cmd("UNSELECT")


@pytest.mark.parametrize("seed", range(6))
def test_a_listener_knows_what_a_new_session_would_be_told(imapd, user, seed):
    print(f"seed={seed}")
    rng = random.Random(seed)
    hands = [imap.Client(imapd, user) for _ in range(3)]
    with imap.Client(imapd, user) as ear:
        model = Model(ear)
        for n in range(150):
            act(rng, hands, n)
            if rng.randrange(20) == 0:
                model.take(ear.ok("NOOP").untagged)
        hands[0].ok("CREATE the-end")
        while "the-end" not in model.boxes:
            model.take([ear.response()])
        model.take(ear.ok("NOOP").untagged)
        real = truth(hands[0])
        assert set(model.boxes) == set(real)
        for name, (is_subscribed, items) in real.items():
            assert model.boxes[name][0] == is_subscribed, name
            for item, value in items.items():
                assert model.boxes[name][1].get(item, 0 if item in ("MESSAGES", "UNSEEN") else value) == value, (name, item)
    for hand in hands:
        hand.close()
