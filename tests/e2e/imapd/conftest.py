"""Fixtures: `imapd` is shared by a module's tests; `box` gives a test a new account's logged-in client."""

import itertools
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import imap  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def imapd():
    # Sessions from loopback are not counted by default; wrong passwords are answered at once, so that tests are quick.
    with imap.Imapd(accounts=("alice",), conf="failure-delay 1ms\n") as instance:
        instance.start()
        yield instance


@pytest.fixture
def user(imapd):
    """A new account of its own."""
    name = f"user{next(numbers)}"
    imapd.add_account(name)
    return name


@pytest.fixture
def client(imapd, user):
    with imap.Client(imapd, user) as c:
        yield c


@pytest.fixture
def box(client):
    """A client with its empty INBOX selected."""
    client.ok("SELECT INBOX")
    return client


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and "imapd" in getattr(item, "funcargs", {}):
        report.sections.append(("log of imapd", item.funcargs["imapd"].log()[-8000:]))
