"""The manual pages and what shells complete: made of the program's own tables, so everything has to be in them."""

import functools
import json
import re
import shutil
import subprocess

import pytest

import postroom


# A hundred short processes: whether each leaks is asked elsewhere (test_cli.py).
ENVIRONMENT = {"PATH": f"{postroom.BIN}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "ASAN_OPTIONS": "detect_leaks=0"}


@functools.cache
def printed(*words):
    done = subprocess.run([postroom.BIN / "postroom", *words], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is missing")


def all_verbs():
    """{verb: its options}, as --help has them."""
    verbs = re.findall(r"(?m)^  ([a-z0-9-]+(?: [a-z0-9-]+)?)  +\S", printed("--help"))
    assert len(verbs) > 80
    return {verb: re.findall(r"(?m)^  --([a-z0-9-]+)", printed(*verb.split(), "--help")) for verb in verbs}


def all_settings():
    names = re.findall(r"(?m)^([a-z][a-z0-9.-]+): ", printed("conf", "describe"))
    assert len(names) > 100
    return names


def plain(page):
    """Manual page source as text."""
    return re.sub(r"\\f[BIR]", "", page).replace("\\-", "-")


def test_the_manual_has_every_verb_with_every_option():
    page = plain(printed("manual", "postroom"))
    for verb, options in all_verbs().items():
        entry = re.search(rf"(?ms)^\.TP\npostroom {verb}(?: .*?)?\n(.*?)^\.IP\nExample: postroom ", page)
        assert entry, verb
        assert set(options) <= set(re.findall(r"(?m)^--([a-z0-9-]+)", entry[1])), verb


def test_the_manual_of_the_configuration_has_every_setting_with_its_range():
    page = plain(printed("manual", "postroom.conf"))
    for name in all_settings():
        entry = re.search(rf"(?m)^\.TP\n{name.rpartition('.')[2]}\n(.+)\n\.br\nValue: .", page)
        assert entry, name
    assert "message-size" in page and "5321" in page


@needs("mandoc")
@pytest.mark.parametrize("name", ["postroom", "postroom.conf"])
def test_mandoc_finds_nothing_wrong_with_a_page(name, tmp_path):
    page = tmp_path / "page"
    page.write_text(printed("manual", name))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    # Without a date on purpose: the same program always makes the same page.
    assert [line for line in done.stdout.splitlines() + done.stderr.splitlines() if "missing date" not in line] == []


def test_there_is_no_other_page_and_no_other_shell():
    for words, code in ((("manual", "sendmail"), 3), (("completion", "tcsh"), 2)):
        done = subprocess.run([postroom.BIN / "postroom", *words], capture_output=True, text=True, check=False)
        assert done.returncode == code and done.stderr


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(printed("completion", shell))
    return folder


# One shell for all lines: each prints what it offers, one line of JSON-free text per question.
BASH = r"""
. "$1"; shift
for line; do COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=(); _postroom; printf '%s\n' "${COMPREPLY[*]}"; done
"""
ZSH = r"""
compdef() { }
. "$1"; shift
ask() { local kind root; local -a offer; _postroom_look "${(@)words[2,-1]}"; print -r -- "${offer[@]%%:*}" }
for line; do
	words=(${(s: :)line}); [[ $line != *\  ]] || words+=('')
	ask
done
"""
FISH = r"""
source $argv[1]
for line in $argv[2..-1]
	complete -C $line | string replace -r '\t.*' '' | string join ' '
	or echo
end
"""


def bash(scripts, *lines):
    """What bash would put at the cursor behind each line."""
    done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", scripts / "bash", *lines], capture_output=True, text=True, check=False,
                          env=ENVIRONMENT)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_offers_every_verb_and_every_option(scripts):
    verbs = all_verbs()
    nouns = list(dict.fromkeys(verb.split()[0] for verb in verbs))
    seconds = {noun: sorted(verb.split()[1] for verb in verbs if verb.startswith(noun + " ")) for noun in nouns}
    seconds = {noun: words for noun, words in seconds.items() if words}
    offered = bash(scripts, "postroom ", *(f"postroom {verb} --" for verb in verbs), *(f"postroom {noun} " for noun in seconds))
    assert sorted(offered.pop(0)) == sorted(nouns)
    for (verb, options), words in zip(verbs.items(), offered[:len(verbs)], strict=True):
        assert set(words) == {"--root", "--json", "--help", *(f"--{o}" for o in options)}, verb
    for (noun, second), words in zip(seconds.items(), offered[len(verbs):], strict=True):
        assert sorted(words) == second, noun


def test_bash_offers_settings_words_files_and_folders(scripts, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    settings, rest, words, dirs, files, nothing = bash(
        scripts, "postroom conf describe ", "postroom conf describe messages-p", "postroom domain set example.org --relay ",
        f"postroom --root {tmp_path}/f", f"postroom conf check {tmp_path}/f", "postroom account add new@example.org --quota ")
    assert sorted(settings) == sorted(all_settings())
    assert rest == ["messages-per-minute"]
    assert words == ["no", "listed", "any", "asked"]
    assert dirs == [f"{tmp_path}/folder"] and sorted(files) == [f"{tmp_path}/file", f"{tmp_path}/folder"]
    assert nothing == []


def test_accounts_and_domains_of_the_instance_are_offered(scripts):
    with postroom.Instance(accounts=("alice", "bob")) as made:
        whole, part, behind, domains, second = bash(
            scripts, f"postroom --root {made.root} account show ", f"postroom --root {made.root} account show al",
            f"postroom --root={made.root} account show alice@exa", f"postroom domain --root {made.root} show ",
            f"postroom --root {made.root} mailbox list bo")
    assert whole == ["alice@example.test", "bob@example.test"] and part == ["alice@example.test"]
    assert behind == ["example.test"]           # bash itself keeps what stands before the @
    assert domains == ["example.test"] and second == ["bob@example.test"]


@needs("zsh")
def test_zsh_reads_the_script_and_offers_the_same(scripts):
    subprocess.run(["zsh", "-n", scripts / "zsh"], check=True)
    lines = ["postroom ", "postroom account ", "postroom conf describe ", "postroom domain set x --relay ", "postroom account add x --"]
    done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", scripts / "zsh", *lines], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert not done.stderr, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == bash(scripts, *lines)


@needs("fish")
def test_fish_reads_the_script_and_offers_the_same(scripts):
    lines = ["postroom ", "postroom account ", "postroom conf describe ", "postroom domain set x --relay ", "postroom account add x --"]
    done = subprocess.run(["fish", "-N", "-c", FISH, scripts / "fish", *lines], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert not done.stderr, done.stderr
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [sorted(words) for words in bash(scripts, *lines)]


def test_the_manual_names_its_version():
    assert json.loads(printed("version", "--json"))["version"] in printed("manual", "postroom")
