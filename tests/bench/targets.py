"""What a row is to reach, so that a run says what it misses.

Ratios are to Postfix and Dovecot in the same run; a few rows have a figure of their own to keep below, or a share of what the machine
itself can do to reach.
"""

import dataclasses
import re


@dataclasses.dataclass
class Target:
    """What is given is to be reached; of times and share one is enough, unless both is said."""
    times: float = None     # the ratio to the peer
    share: float = None     # percent of the machine's own limit
    most: float = None      # our own figure
    both: bool = False

    def verdict(self, row):
        """"met", "missed", or "" when what it is about was not measured."""
        ours = row.get("postroom")
        reached = [value >= least for value, least in ((row["ratio"], self.times), (row["share"], self.share))
                   if least is not None and value is not None]
        if self.most is not None and ours:
            reached.append(ours["value"] <= self.most)
        return ("met" if (all if self.both else any)(reached) else "missed") if reached else ""

    def __str__(self):
        return (" and " if self.both else " or ").join(text for text in (
            self.times is not None and (f"{self.times:g} times" if self.times != 1 else "not slower"), self.share is not None and f"{self.share:g} % of limit",
            self.most is not None and f"at most {self.most:g}") if text)


MIX = "session mix; TLS, 16 connections"
STORM = "TLS connections, 16 at once"

# By the row's name.
TARGETS = {
    "mx, 20 connections, accepted": Target(times=4),
    "mx, 20 connections": Target(times=7, share=60),
    "mx STARTTLS, 20 connections": Target(times=5),
    "submission STARTTLS AUTH, 20 connections": Target(times=5),
    "lmtp, 1 connection": Target(times=6),
    "lmtp, 10 connections": Target(times=4),
    f"{MIX} (default login)": Target(times=20),
    f"{MIX} (high-performance login)": Target(times=8),
    f"{MIX} (processes used again)": Target(times=6),
    f"{STORM} (default login)": Target(times=10, share=80, both=True),
    f"{STORM} (high-performance login)": Target(times=1, share=80, both=True),
    f"{STORM} (processes used again)": Target(times=1, share=80, both=True),
    "RETR; TLS, 8 connections, login + UIDL + all + QUIT": Target(times=8),
    "APPEND LITERAL+, 4 connections": Target(times=4),
    "MULTIAPPEND of 50, 1 connection": Target(times=3),
    "SELECT": Target(times=1),
    "both: login and SELECT, index deleted": Target(times=2),
    "FETCH 1:* (UID FLAGS)": Target(times=3),
    "FETCH 1:* (ENVELOPE BODYSTRUCTURE), first": Target(times=10),
    "FETCH 1:* (ENVELOPE BODYSTRUCTURE), again": Target(times=7),
    "FETCH 1:* BODY[]": Target(times=3),
    "SEARCH FROM": Target(times=10),
    "SEARCH SUBJECT": Target(times=10),
    "SEARCH TEXT": Target(times=5),
    "STORE one": Target(times=100),
    "STORE 1:*": Target(times=3),
    "QRESYNC SELECT after 1,000 changes": Target(times=50),
    "push: SMTP 250 to the first session's EXISTS": Target(times=50),
    "idle sessions: proportional memory of each": Target(most=25),
    "idle sessions: the kernel's memory for each": Target(most=15),
    "mx, message per connection: flushes": Target(most=2),
    "mx, message per connection: system calls": Target(most=80),
    "mx, 20 messages per connection: processes that take part": Target(most=1),
    "session mix: system calls": Target(most=120),
    "session mix: processes started": Target(most=0),
}


def target_of(name):
    """The target of a row, or None. How many sessions are idle makes no difference to what one may cost."""
    return TARGETS.get(re.sub(r"^\d+ (?=idle sessions)", "", name))
