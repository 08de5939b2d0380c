"""tests/attacks.txt: one line per attack, and the tests that prove the right answer are there."""

import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROWS = [line.split(" | ") for line in (TESTS / "attacks.txt").read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_has_its_proof(row):
    _, answer, proofs = row
    assert answer
    for proof in proofs.split("; "):
        path, names = proof.split(": ")
        text = (TESTS / path).read_text()
        for name in names.split():
            assert re.search(rf"(?m)^(static void|def) {name}\(", text), f"{path} has no test {name}"
