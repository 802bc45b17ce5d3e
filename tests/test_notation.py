"""The notation register: no symbol of a table in a docstring is missing, none has two meanings without saying so."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import gradflow

ROOT = Path(gradflow.__file__).parent
REGISTER = (ROOT.parent / "docs" / "theory" / "notation.md").read_text(encoding="utf-8")
FILES = [
    *sorted(path for folder in ("schemes", "curvature", "models") for path in (ROOT / folder).glob("*.py")),
]


def symbols(docstring):
    """Yield what stands in the column `symbol` of the tables of a docstring: cells are two spaces apart."""
    for table in re.findall(r"^=[= ]+\n(symbol .*\n)=[= ]+\n((?:[^=\n].*\n)+)=[= ]+$", docstring, flags=re.MULTILINE):
        for row in table[1].splitlines():
            cell = re.split(r"\s{2,}", row)[0]
            yield from re.split(r",\s*(?![^(]*\))", cell)  # not at a comma in parentheses


def rows(header):
    """Yield the cells of the rows of all tables of the register with this header."""
    for table in re.findall(rf"^\| {re.escape(header)}.*\n\|[-|]+\n((?:\|.*\n)+)", REGISTER, flags=re.MULTILINE):
        for row in table.splitlines():
            yield [cell.strip() for cell in row.strip("|").split(" | ")]


def spellings(cell):
    return re.findall(r"`([^`]+)`", cell)


REGISTERED = Counter(name for row in rows("symbol | in the docstrings") for name in spellings(row[1]))
AMBIGUOUS = {name for row in rows("symbol | one meaning") for name in spellings(row[0])}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_symbol_of_a_table_is_in_the_register(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert set(symbols(docstring)) <= set(REGISTERED)


def test_the_tables_are_found():
    docstrings = [ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in FILES]
    written = sum(len(re.findall(r"^symbol ", text, flags=re.MULTILINE)) for text in docstrings)
    assert sum(any(symbols(text)) for text in docstrings) == written > 10
    assert {"theta", "A^{-1}", "R", "q~", "xi_0", "(d, Ad)/dt", "J d"} <= {
        s for text in docstrings for s in symbols(text)
    }


def test_a_symbol_with_two_rows_is_said_to_have_two_meanings():
    assert {name for name, times in REGISTERED.items() if times > 1} <= AMBIGUOUS


def test_a_symbol_with_several_meanings_has_one_row():
    """Rows of one symbol in two branches of the repository merge to two rows without a conflict."""
    cells = Counter(row[0] for row in rows("symbol | one meaning"))
    assert [name for name, times in cells.items() if times > 1] == []
