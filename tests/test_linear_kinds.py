"""The obligations of schemes with a stabilization run over every kind of energy part and stabilization."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

import pytest
import sympy as sp

from gradflow import GradientDescent
from gradflow.energies.linear import Diagonal, Shift, Shifted, Zero, add, as_linear_part
from gradflow.energies.protocols import linear_part
from gradflow.proofs import PAIRS, STABILIZATIONS, linear_kinds
from gradflow.proofs.verify import load
from gradflow.schemes import REGISTRY
from gradflow.symbolic import AbstractEnergy, SelfAdjoint, Space, is_zero


class Reached(Exception):
    """The derivation has asked for the kinds."""


FOLDER = Path(__file__).parents[1] / "derivations"
dt = sp.Symbol("dt", positive=True)


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


STABILIZED = [name for name, scheme in REGISTRY.items() if "stabilization" in {field.name for field in fields(scheme)}]
COUNTED = {  # the energy part is counted in E and g
    "SourceSAV": STABILIZATIONS,
    "AdaptiveSAV": STABILIZATIONS,
    # r has one entry a coordinate, S is diagonal: the shapes are those of arrays
    "ElementwiseSAV": (("none", "diagonal"), ("none", "number"), ("none", "none")),
}
"""The schemes that do not treat L implicitly, with the kinds of S that they take."""
SLOW = ("ExpSAV", "MSAV", "IEQ")
"""Their obligations take ten seconds and more: it is only shown that each asks for the kinds."""
TRACED = [name for name in STABILIZED if name not in SLOW]
OBLIGED = ("energy_law", "consistency", "solvability")
KIND_OF = {Zero: "none", Shift: "number", Diagonal: "diagonal", SelfAdjoint: "operator", Shifted: "shifted"}


def kind_of(part):
    return KIND_OF[type(part)]


@pytest.fixture(scope="module")
def ran():
    """Return the kinds of L and S with which each scheme was asked for a step, by scheme and obligation."""
    found = {}
    for name in TRACED:
        scheme = REGISTRY[name]
        checks = load(FOLDER, scheme.__module__.rpartition(".")[2])
        for obligation in OBLIGED:
            pairs, stepped = found.setdefault((name, obligation), set()), scheme.step

            def step(self, problem, state, dt, pairs=pairs, stepped=stepped, scheme=scheme):
                if type(self) is scheme:
                    pairs.add((kind_of(linear_part(problem)), kind_of(as_linear_part(self.stabilization, "S"))))
                return stepped(self, problem, state, dt)

            with patch.object(scheme, "step", step):
                checks[obligation]()
    return found


@pytest.mark.parametrize("obligation", OBLIGED)
@pytest.mark.parametrize("name", TRACED)
def test_every_obligation_runs_the_step_on_every_kind(ran, name, obligation):
    pairs = ran[name, obligation]
    if name in COUNTED:
        assert {S for _, S in pairs} >= {S for _, S in COUNTED[name]}
    else:
        assert pairs >= set(PAIRS)


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("obligation", OBLIGED)
def test_slow_obligations_ask_for_the_kinds(name, obligation):
    topic = REGISTRY[name].__module__.rpartition(".")[2]
    check = load(FOLDER, topic)[obligation]

    def reached():
        raise Reached

    module = sys.modules[f"gradflow derivation {FOLDER / topic}.nb.py"]
    with patch.object(module, "linear_kinds", reached), pytest.raises(Reached):
        check()


def test_the_tracer_notices_a_pair_that_is_left_out():
    topic = load(FOLDER, "gradient_descent")
    module = sys.modules[f"gradflow derivation {FOLDER / 'gradient_descent'}.nb.py"]
    pairs, stepped = set(), GradientDescent.step

    def step(self, problem, state, dt):
        pairs.add((kind_of(linear_part(problem)), kind_of(as_linear_part(self.stabilization, "S"))))
        return stepped(self, problem, state, dt)

    with (
        patch.object(GradientDescent, "step", step),
        patch.object(module, "linear_kinds", lambda: linear_kinds(PAIRS[1:])),
    ):
        topic["consistency"]()
    assert pairs == set(PAIRS[1:])
