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


# A file is run by one process. Those that take longest come first, or the last process would be alone with one of them.
LONGEST = (
    "smtpd/test_send.py", "admin/test_backup.py", "smtpd/test_tls_out.py", "smtpd/test_milter.py",
    "admin/test_import_imap.py", "imapd/test_torture.py", "admin/test_doctor.py", "smtpd/test_limits.py",
    "imapd/test_imap_compress.py", "imapd/test_budgets.py", "test_quickstart.py", "test_devices.py",
    "test_upgrade.py", "test_promises.py", "webd/test_acme.py", "smtpd/test_submission.py",
    "smtpd/test_strangers.py", "imapd/test_managesieve.py", "smtpd/test_filter.py", "admin/test_apply.py",
    "test_throttle.py", "smtpd/test_queue.py", "smtpd/test_webhook.py", "admin/test_cli.py", "admin/test_setup.py",
    "imapd/test_transcripts.py", "imapd/test_notify.py",
)
PLACES = {name: place for place, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items):
    here = pathlib.Path(__file__).parent
    items.sort(key=lambda item: PLACES.get(str(item.path.relative_to(here)), len(LONGEST)))


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
