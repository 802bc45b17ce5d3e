"""The obligations of schemes with a stabilization run over every kind of energy part and stabilization."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

import pytest
import sympy as sp

from gradflow.energies.linear import Shift, add
from gradflow.proofs import PAIRS, linear_kinds
from gradflow.proofs.verify import load
from gradflow.schemes import REGISTRY
from gradflow.symbolic import AbstractEnergy, Space, is_zero

FOLDER = Path(__file__).parents[1] / "derivations"
dt = sp.Symbol("dt", positive=True)


class Reached(Exception):
    """The derivation has asked for the kinds."""


def test_the_sum_of_every_pair_is_solved():
    pairs = []
    for names, V, L, S in linear_kinds():
        u, A = V.vector("u"), add(L, S)
        x = A.solve_shifted(u, dt)
        assert is_zero(x + dt * (L.apply(x) + S.apply(x)) - u), names
        pairs.append(names)
    assert tuple(pairs) == PAIRS


def test_a_shift_takes_a_symbol_of_known_sign_only():
    c = sp.Symbol("c", nonnegative=True)
    assert Shift(c).scalar is c
    for unknown in (sp.Symbol("x"), sp.Symbol("x", real=True), sp.Symbol("x", negative=True)):
        with pytest.raises(ValueError, match="shift"):
            Shift(unknown)


def test_parameters_have_no_dot_product():
    V = Space()
    problem, u = AbstractEnergy(V), V.vector("u")
    assert problem.inner(u, u).is_nonnegative
    with pytest.raises(TypeError, match=r"problem\.inner"):
        u @ u


ABSTRACT = [
    name
    for name, scheme in REGISTRY.items()
    if "stabilization" in {field.name for field in fields(scheme)} and name not in ("AdaptiveSAV", "ElementwiseSAV")
]
"""The two others have a metric by coordinates, and run on object arrays."""


@pytest.mark.parametrize("name", ABSTRACT)
@pytest.mark.parametrize("obligation", ["energy_law", "consistency", "solvability"])
def test_obligations_ask_for_the_kinds(name, obligation):
    topic = REGISTRY[name].__module__.rpartition(".")[2]
    check = load(FOLDER, topic)[obligation]

    def reached():
        raise Reached

    module = sys.modules[f"gradflow derivation {FOLDER / topic}.nb.py"]
    with patch.object(module, "linear_kinds", reached), pytest.raises(Reached):
        check()
