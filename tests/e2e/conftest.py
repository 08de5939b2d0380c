"""Fixtures: `server` is shared by a module's tests and has alice and bob; `fresh_server` belongs to one test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import postroom  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob")) as instance:
        instance.start()
        yield instance


@pytest.fixture
def fresh_server():
    with postroom.Instance(accounts=("alice", "bob")) as instance:
        instance.start()
        yield instance


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the servers logged."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when in ("setup", "call"):
        for name in ("server", "fresh_server"):
            instance = item.funcargs.get(name)
            if instance is not None:
                report.sections.append((f"log of {name}", instance.log()[-20000:]))
                if name == "fresh_server":
                    instance.keep = True
                    report.sections.append(("folder", str(instance.root)))
