"""smtpd alone: its tests need no reader, they look at the files."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "support"))

import postroom  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob"), conf="failure-delay 1ms\n") as instance:
        instance.start(only="smtpd")
        yield instance


@pytest.fixture
def make_server():
    """An instance with settings of its own: make_server(conf, accounts)."""
    made = []

    def make(conf="", accounts=("alice", "bob"), **more):
        instance = postroom.Instance(accounts=accounts, conf=conf, **more)
        made.append(instance)
        instance.start(only="smtpd")
        return instance
    yield make
    for instance in made:
        instance.__exit__()


@pytest.fixture
def user(server):
    """A new account without mail, by its name."""
    user.count = getattr(user, "count", 0) + 1
    name = f"user{user.count}"
    server.add_account(name)
    return name


@pytest.fixture
def other(server):
    other.count = getattr(other, "count", 0) + 1
    name = f"other{other.count}"
    server.add_account(name)
    return name
