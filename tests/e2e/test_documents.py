"""What the documents name is there: each link leads to a file, each path of the project in `backticks` is one of its files or folders."""

import fnmatch
import os
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("common", "maildir", "smtpd", "imapd", "pop3d", "webd", "admin", "tests", "doc", "debian", "packaging")
PAGES = sorted([*TOP.glob("*.md"), *(path for room in ROOMS for path in (TOP / room).rglob("*.md"))])
HISTORY = TOP / "CHANGELOG.md"                          # of files as they were
PLACEHOLDER = re.compile(r"foo|NAME")                 # common/foo.c, fuzz_NAME.c


def is_there(path):
    """A file, a folder, a pattern of some, or a module or program by the name of its source without ending; tests also by their folder."""
    tops = (TOP, TOP / "tests" / "e2e")
    if "*" in path:
        return any(any(top.glob(path)) for top in tops)
    return any((top / path).exists() or (top / f"{path}.c").exists() for top in tops)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY], ids=lambda page: str(page.relative_to(TOP)))
def test_paths_that_a_page_names_are_there(page):
    paths = [path for path in re.findall(r"`([A-Za-z0-9_./*-]+)`", page.read_text())
             if path.split("/")[0] in ROOMS and "/" in path and not PLACEHOLDER.search(path)]
    assert [path for path in paths if not is_there(path.rstrip("/"))] == []


@pytest.mark.parametrize("page", [TOP / room / "README.md" for room in ROOMS if (TOP / room / "README.md").exists()],
                         ids=lambda page: page.parent.name)
def test_sources_that_a_rooms_page_names_are_in_the_room(page):
    names = {name for folder, _, files in os.walk(page.parent) for name in files}
    named = [name for name in re.findall(r"`([A-Za-z0-9_*-]+\.(?:c|h|py|json))`", page.read_text()) if not PLACEHOLDER.search(name)]
    assert [name for name in named if not fnmatch.filter(names, name)] == []


def test_the_first_page_names_every_room():
    first = (TOP / "README.md").read_text()
    assert [room for room in ROOMS if any((TOP / room).glob("*.h")) and f"{room}/" not in first] == []
