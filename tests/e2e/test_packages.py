"""The lists of packages agree: configure's table of libraries, debian/control, the image's Containerfile. The image itself is built by hand (doc/packaging.md)."""

import pathlib
import re
import subprocess

import pytest

import postroom

TOP = pathlib.Path(__file__).parents[2]
BASE = {"libc6", "libcrypt1", "libgcc-s1", "libasan8", "libubsan1"}       # in every image; the last two are of a build with sanitizers


def configure_lists():
    return set(subprocess.run([TOP / "configure", "--list-packages=debian"], capture_output=True, text=True, check=True).stdout.split())


def test_what_configure_looks_for_is_what_the_debian_package_is_built_with():
    control = (TOP / "debian" / "control").read_text()
    wanted = re.split(r",\s*", re.search(r"^Build-Depends:(.*(?:\n .*)*)", control, re.M).group(1).strip())
    assert {name for name in wanted if name.endswith("-dev")} == configure_lists() - {"libcmocka-dev"}


def test_the_image_has_each_library_that_a_program_is_linked_with():
    os_release = pathlib.Path("/etc/os-release")
    if not os_release.exists() or "VERSION_CODENAME=bookworm" not in os_release.read_text():
        pytest.skip("the image is Debian bookworm, this machine is not: its packages have other names")
    file = (TOP / "packaging" / "Containerfile").read_text()
    assert "$(./configure --list-packages=debian)" in file          # what it is built with
    there = set(re.findall(r"[a-z0-9][a-z0-9.+-]+", file.split("FROM debian:bookworm-slim\n")[1]))
    needed = set()                                                  # not what a library brings with it
    for program in ("postroom", "smtpd", "imapd", "pop3d", "webd"):
        said = subprocess.run(["objdump", "-p", postroom.BIN / program], capture_output=True, text=True, check=True).stdout
        needed |= set(re.findall(r"NEEDED\s+(\S+)", said))
    # One question for all, since each reads the lists of all packages; by whole paths, of which each library has one.
    listed = subprocess.run(["ldd", postroom.BIN / "postroom"], capture_output=True, text=True, check=True).stdout
    folder = re.search(r"=> /(?:usr/)?(lib/\S+)/libc\.so\.6", listed).group(1)
    paths = [f"{top}/{folder}/{name}" for top in ("", "/usr") for name in sorted(needed)]
    found = subprocess.run(["dpkg-query", "-S", *paths], capture_output=True, text=True, check=False).stdout
    packages = {}
    for line in found.splitlines():
        package, path = line.split(": ", 1)
        packages.setdefault(pathlib.Path(path).name, set()).add(package.split(":")[0])
    assert {name: packages.get(name) for name in needed if not packages.get(name, set()) & (there | BASE)} == {}
