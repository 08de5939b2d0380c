"""Real mail programs from the distribution's packages against real daemons. A program that is not installed is a skip with
the package's name; `./quickstart peers` installs them all."""

import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import postroom  # noqa: E402

PACKAGES = {"mbsync": "isync", "offlineimap": "offlineimap3"}


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice", "bob")) as instance:
        instance.start()
        yield instance


@pytest.fixture
def program():
    """program("swaks", args...) runs it and returns the finished process; skips when it is not there."""
    def run(name, *args, input=None, check=True, cwd=None, env=None):
        path = shutil.which(name)
        if not path:
            pytest.skip(f"{name} is not installed (package {PACKAGES.get(name, name)}): ./quickstart peers")
        done = subprocess.run([path, *map(str, args)], input=input, text=True, capture_output=True, timeout=600,
                              check=False, cwd=cwd, env=env, errors="replace")
        assert not check or done.returncode == 0, f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
    return run


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and "server" in item.funcargs:
        report.sections.append(("log of server", item.funcargs["server"].log()[-10000:]))
