"""postroom sieve: scripts tried without mail."""

import json
import pathlib
import re
import subprocess

import postroom

MESSAGE = """\
From: Coyote <coyote@desert.example.org>
To: alice@example.test
Subject: I have a present for you

Look, I'm sorry.
"""


def run(*args):
    return subprocess.run([postroom.BIN / "postroom", *map(str, args)], capture_output=True, text=True, check=False, timeout=60)


def put(folder, script, message=MESSAGE):
    (folder / "filter.sieve").write_text(script)
    (folder / "letter.eml").write_text(message)
    return folder / "filter.sieve", folder / "letter.eml"


def test_check_names_every_error_with_its_place(tmp_path):
    script, _ = put(tmp_path, 'require "nope";\nfileinto "x";\nkeep;\n')
    done = run("sieve", "check", script)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f'{script}:1:9: the extension "nope" does not exist here',
                                        f'{script}:2:1: the command "fileinto" needs: require "fileinto";']
    errors = json.loads(run("--json", "sieve", "check", script).stdout)
    assert [(e["line"], e["column"]) for e in errors] == [(1, 9), (2, 1)]


def test_check_of_a_good_script(tmp_path):
    script, _ = put(tmp_path, "keep;")
    done = run("sieve", "check", script)
    assert (done.returncode, done.stdout) == (0, f"{script}: no errors\n")
    assert json.loads(run("--json", "sieve", "check", script).stdout) == []


def test_the_dry_run_shows_tests_and_actions(tmp_path):
    script, letter = put(tmp_path, 'require ["fileinto", "envelope"];\nif header :contains "subject" "present" {\n  fileinto "Gifts";\n}\n'
                         'if envelope "from" "roadrunner@acme.example.com" { discard; }')
    done = run("sieve", "test", script, letter, "--from", "<>", "--to", "alice@example.test")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        '    2  header :contains "subject" "present": true', '    3  fileinto "Gifts"',
        '    5  envelope "from" "roadrunner@acme.example.com": false', "Actions:", '  fileinto "Gifts"']


def test_the_envelope_comes_from_the_header_unless_it_is_given(tmp_path):
    script, letter = put(tmp_path, 'require ["variables", "envelope", "fileinto"];\nif envelope :matches "from" "*" { fileinto "from ${1}"; }\n'
                         'if envelope :matches "to" "*" { fileinto "to ${1}"; }')
    rows = json.loads(run("--json", "sieve", "test", script, letter).stdout)
    assert [row["target"] for row in rows] == ["from coyote@desert.example.org", "to alice@example.test"]
    rows = json.loads(run("--json", "sieve", "test", script, letter, "--from", "a@b.example", "--to", "c@d.example").stdout)
    assert [row["target"] for row in rows] == ["from a@b.example", "to c@d.example"]


def test_the_clock_can_be_set(tmp_path):
    script, letter = put(tmp_path, 'require ["date", "variables", "fileinto"];\nif currentdate :matches "iso8601" "*" { fileinto "${1}"; }')
    rows = json.loads(run("--json", "sieve", "test", script, letter, "--now", "Fri, 21 Nov 1997 09:55:06 -0600").stdout)
    assert rows[0]["target"] == "1997-11-21T09:55:06-06:00"
    assert run("sieve", "test", script, letter, "--now", "tomorrow").returncode == 2


def test_included_scripts_are_found_beside_the_script_and_in_the_global_folder(tmp_path):
    script, letter = put(tmp_path, 'require "include"; include "mine"; include :global "all";')
    (tmp_path / "mine.sieve").write_text('require "fileinto"; fileinto "mine";')
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "all.sieve").write_text('require "fileinto"; fileinto "all";')
    rows = json.loads(run("--json", "sieve", "test", script, letter, "--global", tmp_path / "site").stdout)
    assert [row["target"] for row in rows] == ["mine", "all"]
    done = run("sieve", "test", script, letter)
    assert done.returncode == 1 and '"all" does not exist' in done.stderr


def test_a_script_that_fails_keeps_the_mail_and_says_why(tmp_path):
    script, letter = put(tmp_path, 'require "reject";\nkeep;\nreject "no";')
    done = run("sieve", "test", script, letter)
    assert done.returncode == 1
    assert done.stderr == f"{script}:3:1: the message is rejected and delivered at once\n"
    assert done.stdout.endswith("Actions:\n  keep (because nothing else was done)\n")


def test_files_that_are_not_there(tmp_path):
    script, letter = put(tmp_path, "keep;")
    assert run("sieve", "check", tmp_path / "none").returncode == 3
    assert run("sieve", "test", script, tmp_path / "none").returncode == 3
    assert run("sieve", "test", script).returncode == 2
    assert letter.exists()


def test_extensions_lists_what_require_takes(tmp_path):
    names = run("sieve", "extensions").stdout.split()[1:]
    assert "vacation" in names and "replace" not in names
    script, _ = put(tmp_path, "require " + json.dumps(names) + ";")
    assert run("sieve", "check", script).returncode == 0


ROOT = pathlib.Path(__file__).resolve().parents[3]


def documented():
    """The rows of the table in doc/sieve.md: (names of extensions, the words of the column "tests")."""
    section = (ROOT / "doc" / "sieve.md").read_text().split("\n## Extensions\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] not in ("extension", "---"):
            yield re.findall(r"`([^`]+)`", cells[0]), re.findall(r"`([^`]+)`", cells[2])


def test_the_table_of_extensions_is_what_the_program_has():
    rows = list(documented())
    names = [name for row, _ in rows for name in row]
    assert len(names) == len(set(names))
    assert set(names) == {row["extension"] for row in json.loads(run("--json", "sieve", "extensions").stdout)}


def test_the_tests_that_the_table_names_exist():
    folder = ROOT / "tests" / "unit" / "common" / "sieve"
    functions = set(re.findall(r"static void (\w+)\(void \*\*state\)", "".join(path.read_text() for path in folder.glob("*.c"))))
    files = {path.name for path in ROOT.glob("tests/**/*_test.c")} | {path.name for path in ROOT.glob("tests/**/test_*.py")}
    for names, tests in documented():
        assert tests, names
        for test in tests:
            known = test in functions or test in files or f"{test}_test.c" in files
            assert known or (test.endswith("...") and any(f.startswith(test[:-3]) for f in functions)), (names, test)


def test_the_tests_of_bad_input_exist():
    section = (ROOT / "doc" / "sieve.md").read_text().split("\n## Bad input\n")[1].split("\n## ")[0]
    text = "".join(path.read_text() for path in ROOT.glob("tests/**/*.[cp]*") if path.suffix in (".c", ".py"))
    functions = set(re.findall(r"static void (\w+)\(void \*\*state\)|^def (test_\w+)\(", text, re.M))
    known = {name for pair in functions for name in pair} | {path.stem for path in ROOT.glob("tests/fuzz/fuzz_*.c")} | {
        path.name for path in ROOT.glob("tests/**/test_*.py")}
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 9
    for row in rows:
        names = re.findall(r"`([^`]+)`", row.split("|")[2])
        assert names and set(names) <= known, row


def examples():
    """Of each RFC: how many examples, how many of them tested, mended, left out; and why."""
    counts = {}
    for line in (ROOT / "tests" / "unit" / "common" / "sieve" / "rfc-examples.txt").read_text().splitlines():
        if found := re.match(r"%% RFC (\d+) ", line):
            row = counts.setdefault(found[1], [0, 0, 0, 0, set()])
            row[0] += 1
            row[1] += 1
        elif found := re.match(r"%% (mended|left out) (.*)", line):
            row[2 if found[1] == "mended" else 3] += 1
            row[1] -= found[1] == "left out"
            row[4].add(found[2])
    return counts


def test_the_table_of_examples_is_what_the_tests_have():
    section = (ROOT / "doc" / "sieve.md").read_text().split("\n## Examples of the standards\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if re.match(r"\| (\d+|all) \|", line)]
    numbers = {row[0]: [int(cell) for cell in row[1:5]] for row in rows}
    there = examples()
    assert numbers == {**{rfc: row[:4] for rfc, row in there.items()}, "all": [sum(row[n] for row in there.values()) for n in range(4)]}
    assert set(numbers) >= {"5228", "5229", "5230", "5231", "5232", "5233", "5235", "5260", "5293", "5429", "5703", "7352"}
    for row in rows[:-1]:
        assert all(why in row[5] for why in there[row[0]][4]), row
