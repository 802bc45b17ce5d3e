"""Certificates: each broken scheme is told what is wrong with it, right ones hold, the stored datasheets are what comes out now."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import broken_schemes
import gradflow as gf
from gradflow.certificates import Certificate, Entry
from gradflow.certificates.certificate import SECTIONS, STATUSES
from gradflow.certificates.cost import counted_cost
from gradflow.certificates.linear_stability import exact_threshold, measured_stability
from gradflow.certificates.measured_law import _judged, _what_is_missing, negative_energies
from gradflow.certificates.modified_equation import modified_equation
from gradflow.certificates.trials import (
    common_facts,
    given_problems,
    shortened,
    stabilized,
    takes_stabilization,
    trials,
)
from gradflow.cli import app
from gradflow.cli.certificates import library
from gradflow.description import as_call, describe
from gradflow.namespace import array_namespace
from gradflow.schemes import REGISTRY
from gradflow.schemes.state import FlowState

FILE = Path(broken_schemes.__file__)
SHEETS = FILE.parent.parent / "docs" / "datasheets"


def call(*arguments):
    return CliRunner().invoke(app, ["certify", *map(str, arguments)])


@pytest.mark.parametrize("name", broken_schemes.MISTAKES)
def test_the_certificate_of_a_broken_scheme_names_what_is_wrong(name):
    entry, words = broken_schemes.MISTAKES[name]
    quick = name not in broken_schemes.SEEN_IN_FULL
    certificate = gf.certify(getattr(broken_schemes, name), proofs=False, quick=quick)
    assert not certificate.holds
    assert certificate[entry].status == "false"
    (sentence,) = [text for text in certificate.failures if text.startswith(f"{entry}: ")]
    for word in words:
        assert word.lower() in sentence.lower()
    assert re.search(r"\d", certificate[entry].counterexample)


def test_there_are_many_mistakes():
    assert len(broken_schemes.MISTAKES) >= 70
    assert len({entry for entry, _ in broken_schemes.MISTAKES.values()}) >= 10


@pytest.mark.parametrize("name", broken_schemes.RIGHT)
def test_the_certificate_of_a_right_scheme_holds(name):
    certificate = gf.certify(getattr(broken_schemes, name), proofs=False)
    assert certificate.failures == ()
    assert certificate.holds
    statuses = {entry.name: entry.status for entry in certificate.entries}
    assert statuses["order"] == statuses["finite steps"] == statuses["purity"] == "measured"


def test_dt_is_halved_until_every_order_shows():
    certificate = gf.certify(broken_schemes.RecordsItsEnergy(), proofs=False, quick=True)
    assert certificate["order"].status == certificate["order of the auxiliary variable"].status == "measured"
    assert len(certificate["order"].table[0]) > 2 + 3


def test_a_law_of_a_user_is_proved_in_every_dimension():
    certificate = gf.certify(broken_schemes.MySAV(), quick=True)
    for name in ("identity", "dissipation", "numerical dissipation", "modified energy", "single step", "denominators"):
        assert certificate[name].status == "proved", certificate[name]
        assert "every dimension" in certificate[name].scope
    assert "every C > 0" in certificate["identity"].scope


def test_a_law_of_a_user_with_a_linear_system_is_proved_for_every_residual():
    certificate = gf.certify(broken_schemes.MyIEQ(), quick=True)
    for name in ("identity", "decay", "dissipation", "numerical dissipation", "modified energy"):
        assert certificate[name].status == "proved", certificate[name]
        assert "every dimension, inner product and sum of squares" in certificate[name].scope


@pytest.mark.parametrize(
    ("scheme", "scope"),
    [
        (gf.IEQ(), "sum of squares, every L and S"),
        (gf.Restart(gf.IEQ()), "sum of squares, every L and S"),
        (gf.MSAV(), "sum of 3 or 4 squares, every L and S, every dt, every C > 0"),
        (gf.AdaptiveIEQ(), "positive energy, every L, every dt, every eps > 0"),
        (gf.AdaptiveIEQ(form="printed"), "positive energy, every L, every dt, every eps > 0"),
    ],
    ids=str,
)
def test_the_law_of_schemes_with_linear_systems_is_proved_in_every_dimension(scheme, scope):
    found = proved_of(scheme)
    printed = scheme == gf.AdaptiveIEQ(
        form="printed"
    )  # its modified energy is E only where the residual is scaled by 1
    assert (found["modified energy"].status != "proved") == printed
    for name in ("identity", "numerical dissipation") + (() if printed else ("modified energy",)):
        assert found[name].status == "proved", found[name]
        assert found[name].scope.startswith("every dimension")
        assert scope in found[name].scope


def proved_of(scheme, *, quick=True):
    """Return what the prover says of a scheme, as if all had been measured."""
    from gradflow.certificates import proving

    measured = [
        Entry("energy law", name, "", "measured")
        for name in ("identity", "decay", "modified energy", "dissipation", "numerical dissipation")
    ] + [Entry("consistency", "limit flow", "", "measured")]
    return {entry.name: entry for entry in proving.with_proofs(scheme, measured, quick=quick)}


SOLVED = (broken_schemes.MyIEQ, gf.MSAV)
FALSE_LAWS = [
    "WrongWhereThereIsAResidual",
    "DropsNumericalDissipation",
    "WrongFactorOfL",
    "ConstantLeftIn",
    "AscentWithALaw",
]
FALSE_LAWS += [name for name in broken_schemes.MISTAKES if issubclass(getattr(broken_schemes, name), SOLVED)]


@pytest.mark.parametrize("name", FALSE_LAWS)
def test_no_proof_is_found_of_what_is_false(name):
    """The prover is asked about laws that are false, as if nothing had been measured."""
    entry = {"AscentWithALaw": "single step", "NotTransposed": "identity"}.get(name, broken_schemes.MISTAKES[name][0])
    found = proved_of(getattr(broken_schemes, name)())
    assert entry not in found or found[entry].status != "proved"


def steep(curvature):
    return gf.FunctionProblem(lambda w: curvature * w @ w / 2, lambda w: curvature * w), np.ones(3)


def test_problems_of_the_user_take_the_place_of_random_ones():
    """A scheme for networks, or for three parameters, is measured on those; what needs other problems says so."""
    for scheme, problems, order in (
        (broken_schemes.DescentOfNetworks(), broken_schemes.network(), "measured"),
        (gf.MSAV(parts=(0, 0, 1, 1, 2, 2)), broken_schemes.network(), "measured"),
        (broken_schemes.FixedPreconditioner(), broken_schemes.three_parameters(), None),
    ):
        assert gf.certify(scheme, proofs=False, quick=True)["runs"].status == "false"
        certificate = gf.certify(scheme, proofs=False, problems=problems)
        assert certificate.failures == ()
        words = "the given problem" if isinstance(problems, tuple) else "the 2 given problems"
        statuses = {entry.name: entry.status for entry in certificate.entries}
        assert statuses.get("order") == order
        assert statuses["limit flow"] == statuses["finite steps"] == statuses["purity"] == "measured"
        for entry in certificate.entries:
            if entry.status == "measured":
                own = entry.name in ("stationary points", "negative energies", "threshold", "orbits")
                assert entry.scope.endswith("a problem of the certificate's own" if own else words)
    wrong = gf.certify(broken_schemes.HalfDescentOfNetworks(), proofs=False, problems=broken_schemes.network())
    assert wrong["limit flow"].status == "false"
    assert "-0.5 grad E" in wrong["limit flow"].detail
    assert "problem 1, of type Regression" in wrong["limit flow"].counterexample
    assert "...)" in wrong["limit flow"].counterexample  # theta is not printed in full


@pytest.mark.parametrize(
    "problems",
    [
        3,
        [],
        (),
        broken_schemes.network()[0],
        [broken_schemes.network()[0]],
        [("x", np.zeros(2))],
        broken_schemes.network,
    ]
    + [(broken_schemes.network()[0], theta) for theta in (None, [1.0], np.zeros(2, np.float32), np.full(20, np.nan))],
)
def test_what_are_no_problems_is_refused(problems):
    with pytest.raises(ValueError, match=r"problems must be a pair|theta must"):
        gf.certify(gf.GradientDescent(), problems=problems)


@pytest.mark.parametrize(
    ("scheme", "problem", "words"),
    [
        (gf.GradientDescent(), (steep(1.0)[0], np.zeros(3)), "got a gradient of 0"),
        (
            gf.GradientDescent(),
            (broken_schemes.network()[0], np.ones(5)),
            r"problem 2 .*it raises ValueError: theta must have",
        ),
        (
            gf.GradientDescent(),
            (gf.FunctionProblem(lambda w: w @ w, lambda w: w[:1]), np.ones(3)),
            r"problem 2 .*shape",
        ),
        (
            gf.GradientDescent(),
            (gf.FunctionProblem(lambda w: w @ w, lambda w: w / 0), np.ones(3)),
            "problem 2 must have a finite",
        ),
    ],
)
def test_a_problem_from_which_no_run_can_start_is_refused(scheme, problem, words):
    """The fault is that of the problem, not of the scheme."""
    with pytest.raises(ValueError, match=words):
        gf.certify(scheme, problems=[steep(1.0), problem])


def test_problems_that_the_scheme_refuses_all_are_refused():
    low = (gf.FunctionProblem(lambda w: w @ w / 2 - 5, lambda w: w), np.ones(2))
    with pytest.raises(
        ValueError, match=r"problems must hold one that SAV takes; it refuses problem 1: C must satisfy"
    ):
        gf.certify(gf.SAV(), problems=low)
    found = gf.certify(gf.SAV(), problems=[low, steep(1.0)], proofs=False, quick=True)
    assert found.holds
    assert "C must satisfy" in found["runs"].detail


@pytest.mark.parametrize("name", ["RefusesAll", "DescentOfNetworks"])
def test_nothing_is_judged_without_a_case(name):
    """Only what the scheme does with negative energies is known: it refuses them."""
    certificate = gf.certify(getattr(broken_schemes, name), quick=True)
    for entry in certificate.entries:
        assert (entry.status in ("measured", "proved")) == (entry.name == "negative energies"), entry
        assert entry.status != "undecided" or entry.detail
        assert not re.match(r"0 (?!of)", entry.scope), entry
    assert [text.partition(":")[0] for text in certificate.failures] == ["runs"]


def test_every_step_size_is_tried_on_a_problem_of_the_user():
    table = gf.certify(gf.SAV(), proofs=False, problems=steep(1.0))["identity"].table
    assert [row[0] for row in table[1:]] == [f"{10.0**k:.0e}" for k in range(-8, 9, 2)]
    assert all(cell.isdigit() for row in table[1:] for cell in row[1:])
    assert "float32" not in table[0]


@pytest.mark.parametrize(
    ("scheme", "start"),
    [
        (gf.SAV(), ""),
        (gf.Restart(gf.SAV()), "within a step, from its consistent value, "),
        (gf.Restart(gf.SAV(), every=2), "between two restarts, from the state that the step starts from, "),
        (gf.Restart(gf.IEQ(), every=10), "between two restarts, from the state that the step starts from, "),
    ],
    ids=str,
)
def test_where_the_law_of_a_restarted_scheme_holds_is_told(scheme, start):
    certificate = gf.certify(scheme, proofs=False, quick=True)
    assert certificate["identity"].claim.startswith(f"{start}the modified energy falls by exactly")
    assert certificate["decay"].claim.startswith(f"{start}the modified energy never rises")


def test_a_law_that_holds_is_not_told_as_what_is_missing():
    """Its two terms fit the residual, which is rounding."""
    assert _what_is_missing(_judged(broken_schemes.MiddleSAV(), np.float64)) == ""
    wrong = type("Wrong", (broken_schemes.MiddleSAV,), {"law": None})
    wrong.energy_terms = lambda self, problem, state, new, dt: gf.schemes.protocols.EnergyTerms(0.0, 0.0)
    assert "-1 |d|_M^2 / dt and not 0" in _what_is_missing(_judged(wrong(), np.float64))


def test_the_command_takes_problems_of_the_user():
    found = call(f"{FILE}:DescentOfNetworks", "--no-proofs", "--quick", "--problems", f"{FILE}:network")
    assert found.exit_code == 0
    assert "on the given problem" in found.stdout
    assert call(f"{FILE}:DescentOfNetworks", "--no-proofs", "--quick").exit_code == 1
    for problems, words in (
        ("nothing", "my/problems.py:name"),
        (f"{FILE}:Nothing", "has no 'Nothing'"),
        (f"{FILE}:mistake", "cannot be called without arguments"),
        (f"{FILE}:RIGHT", "problems must be a pair"),
    ):
        refused = call("GradientDescent", "--no-proofs", "--quick", "--problems", problems)
        assert refused.exit_code == 2
        assert words in refused.stderr


def test_what_a_scheme_does_with_negative_energies_is_told():
    """It refuses them, runs on them, or makes no claim; what is wrong with them only is told with numbers."""
    for scheme, status, words in (
        (gf.SAV(), "measured", 'refused, "C must satisfy F(theta) + C > 0'),
        (gf.SAV(C=100.0), "measured", ""),
        (gf.GradientDescent(), "measured", ""),
        (
            broken_schemes.MySAV(),
            "not applicable",
            "declares no lower bound of the energy: all else is for energies >= 0",
        ),
        (broken_schemes.Ascent(), "undecided", "wrong on other energies as well"),
        (broken_schemes.SignOfE(), "false", "does not do there what it does elsewhere"),
    ):
        entry = negative_energies(scheme)
        assert entry.status == status
        assert words in entry.detail
        assert bool(words) == bool(entry.detail)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("NegativeOffTheDefinition", "numerical dissipation"),
        ("HardlyNegativeDissipation", "dissipation"),
        ("FirstOrderOnly", "single step"),
        ("WrongFactor", "single step"),
        ("AuxOffByDt", "single step"),
        ("RecordsTheInverse", "denominators"),
        ("RecordsTheLogarithm", "denominators"),
        ("DropsNumericalDissipation", "decay"),
        ("Damped", "denominators"),
    ],
)
def test_what_is_barely_false_is_not_proved(name, entry):
    """The prover is asked, as if all had been measured; what is right of the same scheme is still proved."""
    from gradflow.certificates import proving

    kind = getattr(broken_schemes, name)
    scheme = kind(a=-1.0) if name == "Damped" else kind()
    law = hasattr(scheme, "energy_terms")
    names = ("identity", "decay", "modified energy", "dissipation", "numerical dissipation") if law else ("identity",)
    measured = [Entry("energy law", one, "", "measured" if law else "not applicable") for one in names]
    measured.append(Entry("consistency", "limit flow", "", "measured"))
    found = {one.name: one.status for one in proving.with_proofs(scheme, measured, quick=True)}
    assert found.get(entry, "undecided") != "proved"
    assert "proved" in found.values()


def test_no_proof_is_found_of_the_first_steps_of_a_scheme_that_counts():
    certificate = gf.certify(broken_schemes.CountingSAV(), quick=True)
    assert certificate.holds
    assert "counts steps" in certificate["identity"].detail
    statuses = {entry.name: entry.status for entry in certificate.entries}
    assert {statuses[name] for name in ("identity", "decay", "dissipation", "numerical dissipation")} == {"measured"}
    assert "denominators" not in statuses
    assert gf.certify(broken_schemes.FlaggedSAV(), quick=True)["decay"].status == "proved"


@pytest.mark.parametrize(
    "name",
    [
        "KeepsTheStepSize",
        "KeepsTheTime",
        "RecordsTheIncrement",
        "AuxWithoutDefinition",
        "AuxInATuple",
        "AuxInAMatrix",
        "AuxInAnObject",
    ],
)
def test_no_proof_is_found_for_some_states_only(name):
    """Whatever a state holds is varied; a law that fails for states to which perhaps no step leads is not called false."""
    found = proved_of(getattr(broken_schemes, name)())
    assert found["identity"].status == "measured"
    assert found["identity"].detail.startswith("not proved: ")


@pytest.mark.parametrize("name", ["ReadsTheResidualScale", "SolvesInTheDotProduct"])
def test_no_proof_is_found_for_some_problems_only(name):
    assert proved_of(getattr(broken_schemes, name)())["identity"].status != "proved"


def test_a_state_with_a_memory_that_the_law_does_not_read_keeps_its_proof():
    assert proved_of(broken_schemes.KeepsMore())["identity"].status == "proved"  # it keeps 0


def test_the_time_for_proofs_is_one_for_all_of_them_and_a_sheet_says_that_it_is_spent(monkeypatch):
    from gradflow.certificates import proving

    monkeypatch.setattr(proving, "LIMIT", 1)
    monkeypatch.setattr(proving, "BUDGET", 4)
    found = proved_of(broken_schemes.NeverEndsOnSymbols())
    assert found["proofs"].status == "undecided"
    assert found["proofs"].detail == "the 4 s of processor time for proofs are spent"
    assert "no proof in 1 s" in found["modified energy"].detail
    assert "an earlier proof took too long" in found["identity"].detail
    assert {found[name].status for name in ("identity", "decay", "dissipation")} == {"measured"}
    assert "proofs" not in proved_of(gf.GradientDescent())


def test_a_law_that_symbols_refute_is_false():
    certificate = gf.certify(broken_schemes.HiddenByRounding(), quick=True)
    assert certificate["identity"].status == "false"
    assert "does not vanish on symbols" in certificate["identity"].detail
    assert certificate["decay"].status == "measured"
    rounded = gf.certify(broken_schemes.HiddenByRounding(C=0.1), quick=True)
    assert rounded["identity"].status == "undecided"  # 0.1 may stand for a tenth


def test_the_parameters_of_a_wrapper_and_of_the_scheme_within_are_two():
    scope = gf.certify(broken_schemes.WrapperWithAConstant(), quick=True)["denominators"].scope
    assert "these parameters" in scope


def test_only_positive_numbers_are_positive_symbols():
    names = {
        a: {e.name: e for e in gf.certify(broken_schemes.Damped(a=a), quick=True).entries} for a in (1.0, 0.0, -1.0)
    }
    assert "every a > 0" in names[1.0]["denominators"].scope
    assert "a > 0" not in names[0.0]["denominators"].scope
    assert "denominators" not in names[-1.0]


@pytest.mark.parametrize("name", ["RootOfDt", "DividesByTheLastStep", "SignsThatChange"])
def test_a_step_that_may_not_exist_is_not_proved_to(name):
    entries = {entry.name for entry in gf.certify(getattr(broken_schemes, name)(), quick=True).entries}
    assert "denominators" not in entries


def test_a_root_by_numpy_is_told_with_the_remedy():
    certificate = gf.certify(broken_schemes.RootByNumPy(), quick=True)
    assert "array_namespace(theta).sqrt, so that proofs can run" in str(certificate)


@pytest.mark.parametrize("name", ["Inertial", "InertialKick", "AuxOfAnotherMeaning"])
def test_a_scheme_that_claims_no_flow_need_not_descend_at_once(name):
    certificate = gf.certify(getattr(broken_schemes, name), proofs=False, quick=True)
    assert certificate.failures == ()


@pytest.mark.parametrize("name", ["order", "speed", "stabilization", "carries_auxiliary", "step"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_what_cannot_be_read_is_refused(name, error):
    def read(self):
        raise error("not today")

    kind = type("Mine", (broken_schemes.ExplicitMidpoint,), {name: property(read)})
    with pytest.raises(ValueError, match=f"{name} of Mine must be readable, it raises {error.__name__}: not today"):
        gf.certify(kind())


def test_a_stabilization_that_cannot_be_replaced_is_refused():
    kind = type("Mine", (broken_schemes.MySAV,), {"__init__": lambda self: None})
    with pytest.raises(ValueError, match=r"Mine has a stabilization, and by dataclasses\.replace another"):
        gf.certify(kind())


def test_a_stabilization_that_is_no_operator_is_refused():
    kind = type("Mine", (broken_schemes.ExplicitMidpoint,), {"stabilization": "strong"})
    with pytest.raises(ValueError, match="stabilization"):
        gf.certify(kind())


@pytest.mark.parametrize("name", ["GradientDescent", "SourceSAV"])
def test_a_certificate_is_the_same_in_every_call(name):
    first, second = (gf.certify(library(name), quick=True) for _ in range(2))
    assert first == second
    assert first.to_json() == second.to_json()


EVALUATIONS = {
    "energy": ("energy", "energies"),
    "nonlinear_energy": ("energy", "energies"),
    "energy_and_gradient": ("gradient", "gradients"),
    "nonlinear_energy_and_gradient": ("gradient", "gradients"),
    "hvp": ("Hessian product", "Hessian products"),
    "nonlinear_hvp": ("Hessian product", "Hessian products"),
    "linearize": ("linearisation", "linearisations"),
    "linearize_later": ("linearisation", "linearisations"),
}


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("method", EVALUATIONS)
def test_every_call_of_a_later_step_is_counted(method, calls):
    """The first two steps call each method oftener, as those of a scheme that collects something."""
    arguments = 2 if method in ("hvp", "nonlinear_hvp") else 1

    class Caller(broken_schemes.ExplicitMidpoint):
        def init(self, problem, theta):
            return broken_schemes.PastGradients(theta)

        def step(self, problem, state, dt):
            for _ in range(calls if len(state.past) > 1 else 5):
                getattr(problem, method)(*(state.theta,) * arguments)
            return broken_schemes.PastGradients(state.theta, (*state.past, state.theta.copy())[:2])

    (entry,) = counted_cost(Caller())
    assert entry.detail == f"{calls} {EVALUATIONS[method][calls > 1]}, 3 vectors of P numbers kept, theta among them"


class Keeps:
    """A step along the gradient, with anything in its state."""

    def __init__(self, *kept):
        self.kept = kept

    def init(self, problem, theta):
        return broken_schemes.PastGradients(theta, tuple(map(np.copy, self.kept)))

    def step(self, problem, state, dt):
        return state._replace(theta=state.theta - dt * problem.energy_and_gradient(state.theta)[1])


P, N = 7, 4  # of the problem on which calls are counted


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ((), "theta and no other vector of P numbers kept"),
        ((np.zeros(P),), "2 vectors of P numbers kept, theta among them"),
        ((np.zeros((3, P)), np.zeros((P, 2))), "6 vectors of P numbers kept, theta among them"),
        ((np.zeros((P, P)),), "theta and no other vector of P numbers kept, 1 matrix of P x P numbers"),
        ((np.zeros((2, P, P)),), "theta and no other vector of P numbers kept, 2 matrices of P x P numbers"),
        ((np.zeros(N), np.zeros(N)), "theta and no other vector of P numbers kept, 2 vectors of N numbers"),
        (
            (np.zeros(2), np.zeros((2, 3))),
            "theta and no other vector of P numbers kept, 1 vector of 2 numbers, 6 other numbers",
        ),
        ((np.zeros(()), np.zeros(())), "theta and no other vector of P numbers kept, 2 other numbers"),
    ],
)
def test_all_that_a_state_keeps_is_counted(kept, words):
    (entry,) = counted_cost(Keeps(*kept))
    assert entry.detail == f"1 gradient, {words}"


def test_what_a_wrapper_shares_with_its_base_is_counted_once():
    one, other = (counted_cost(scheme)[0].detail for scheme in (gf.SAV(), gf.Restart(gf.SAV(), every=3)))
    assert one.endswith("1 other number")
    assert other.endswith("2 other numbers")  # with the number of steps since the restart


def test_what_quasi_newton_methods_keep_is_told():
    assert "1 matrix of P x P numbers" in counted_cost(gf.BFGS())[0].detail
    assert "21 vectors of P numbers" in counted_cost(gf.LBFGS(memory=10))[0].detail


class Halving(Keeps):
    """The step is halved until E falls."""

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        while problem.energy(state.theta - dt * g) > E:
            dt /= 2
        return state._replace(theta=state.theta - dt * g)


@pytest.mark.parametrize("curvatures", [(1.0, 1e4), (1e4, 1.0)])
def test_the_cost_is_counted_on_every_problem_of_the_user(curvatures):
    (entry,) = counted_cost(Halving(), given=given_problems([steep(k) for k in curvatures]))
    (few, many) = (
        re.search(rf"on problem {1 + curvatures.index(k)}: (\d+) energ", entry.detail)[1] for k in (1.0, 1e4)
    )
    assert (int(few), int(many)) == (1, 10)
    (same,) = counted_cost(Halving(), given=given_problems([steep(1.0), steep(1.0)]))
    assert "problem" not in same.detail


@pytest.mark.parametrize("terms", [("a text",), (1.0,), (None, None)])
def test_terms_that_are_no_numbers_are_refused(terms):
    kind = type("Mine", (broken_schemes.MySAV,), {"energy_terms": lambda *_: terms})
    with pytest.raises(ValueError, match="the energy law of the scheme cannot be judged"):
        gf.certify(kind(), proofs=False, quick=True)


def test_momentum_changes_the_time_and_is_measured_by_its_factor():
    certificate = gf.certify(gf.HeavyBall(momentum=0.75), proofs=False, quick=True)
    assert certificate.holds
    assert certificate["limit flow"].claim == "as dt tends to 0 the scheme follows theta' = -4 grad E"
    assert gf.certify(gf.Adam(), proofs=False, quick=True)["limit flow"].detail.count("4^0.00") == 1  # as for signs


@pytest.mark.parametrize(
    ("scheme", "c", "gradient"),
    [
        (gf.GradientDescent(), "1/4", True),
        (gf.ImplicitEuler(), "-1/4", True),
        (gf.RungeKutta4(), "0", True),
        (gf.HeavyBall(momentum=0.5), "3/2", True),  # (1 + beta) / (4 (1 - beta)^2)
        (gf.Restart(gf.SAV()), "1/4", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_implicit_regularization_is_told(scheme, c, gradient):
    from gradflow.certificates.modified_equation import modified_equation

    field, loss, regularization = modified_equation(scheme)
    assert {field.status, loss.status, regularization.status} == {"proved"}
    assert regularization.claim.endswith(f"with c = {c}")
    effects = {True: "large gradients are preferred", False: "small gradients are preferred"}
    assert regularization.detail == (effects[c.startswith("-")] if c != "0" else regularization.detail)
    assert ("preferred" in regularization.detail) == (c != "0")
    assert ("is minus the gradient" in loss.claim) == gradient


class Otherwise(broken_schemes.ExplicitMidpoint):
    """Explicit Euler on symbols, and with a little of the midpoint rule on numbers."""

    order = 1
    speed = 1.0
    part = 0.0

    def step(self, problem, state, dt):
        midpoint = super().step(problem, state, dt).theta
        euler = state.theta - dt * self.gradient(problem, state.theta)
        numbers = isinstance(state.theta, np.ndarray) and state.theta.dtype == np.float64
        return FlowState(euler + self.part * (midpoint - euler) if numbers else euler)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"part": 0.1}, "iterates in floating point do not follow the field found on symbols: their order is 1"),
        ({"order": 2}, "by its modified field the scheme has order 1, it declares 2"),
        ({"speed": 1 + 1e-8}, "by its modified field the scheme has the speed 1, it declares 1.00000001"),
        ({}, ""),
    ],
    ids=["part", "order", "speed", "none"],
)
def test_a_field_that_numbers_do_not_confirm_is_refused(changed, words):
    from gradflow.certificates.modified_equation import modified_equation

    scheme = type("Mine", (Otherwise,), changed)()
    if words:
        with pytest.raises(ValueError, match=words):
            modified_equation(scheme)
    else:
        assert modified_equation(scheme)[0].status == "proved"


@pytest.mark.parametrize(
    ("scheme", "parts"),
    [
        (
            gf.Restart(gf.ElementwiseSAV()),
            ("theta_0' = -E_0 + dt (E_0**3/(2*(E + 1)) - E_0*E_00/2 - E_01*E_1/2)", "of f_2"),
        ),
        (gf.ElementwiseSAV(), ("C = 1;", "theta_1' = -E_1*aux_1/sqrt(C + E)", "aux_0' = ", "of f_1")),
        (gf.RMSProp(), ("v of the state has forgotten", "decay = 0.9, eps = 1e-08", "-E_0/(eps + |E_0|)", "of f_1")),
        (gf.Adam(beta2=0.9), ("m and v of the state have forgotten", "theta_0' = -E_0/(eps + |E_0|) + dt", "of f_1")),
        (gf.IEQ(), ("2 residuals", "theta_0' = -aux_0*q0_0 - aux_1*q1_0 + dt", "of f_2")),
    ],
    ids=str,
)
def test_a_step_of_coordinates_has_its_field_in_two_of_them(scheme, parts):
    from gradflow.certificates.modified_equation import modified_equation

    field, loss = modified_equation(scheme)
    assert field.status == loss.status == "proved"
    assert field.scope == loss.scope
    assert field.scope.startswith("two coordinates")
    assert "measured: iterates follow it" in field.detail
    assert "is not, for every energy, minus the gradient of a loss" in loss.claim
    text = "; ".join((field.claim, field.scope, field.detail, loss.detail))
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("scheme", "claim", "detail"),
    [
        (
            gf.GradientDescent(),
            "to second order the modified field is minus the gradient",
            "the loss is (o, o)*dt/4 + E",
        ),
        (
            broken_schemes.MiddleSAV(),
            "with aux of the state fixed, to second order the modified field is minus",
            "no potential was found: ",
        ),
        (
            broken_schemes.MiddleIEQ(),
            "in two coordinates, with aux of the state fixed, to second order the modified field is minus",
            "where aux depends on theta, the field of theta is another one",
        ),
        (
            gf.Restart(broken_schemes.MiddleIEQ()),
            "to second order the modified field is not, for every energy",
            "of f_2",
        ),
        (
            gf.SAV(),
            "with aux of the state fixed, to second order the modified field is not, for every energy",
            "of f_2",
        ),
        (gf.HeavyBall(), "to second order the modified field is minus the gradient", "the loss is"),
    ],
    ids=str,
)
def test_a_loss_with_further_unknowns_is_one_with_these_fixed(scheme, claim, detail):
    """The field of theta alone, on the definition of the auxiliary variable, may have none where that one has."""
    from gradflow.certificates.modified_equation import modified_equation

    field, loss, *_ = modified_equation(scheme)
    assert field.status == loss.status == "proved"
    assert loss.claim.startswith(claim)
    assert detail in loss.detail
    assert ("fixed" in loss.claim) == ("another one" in loss.detail)


@pytest.mark.parametrize("most", range(12, 70))
def test_a_text_is_cut_after_a_word(most):
    text = "one clause; another one: with words of some length, and internationalization at its end."
    cut = shortened(text, most)
    assert len(cut) <= most
    assert cut.endswith(" ...")
    assert text.startswith(cut[:-4])
    assert text[len(cut) - 4] in " ;:."
    assert shortened(text, len(text)) == text


def test_why_there_is_no_field_is_told_in_full():
    from gradflow.certificates.proving import _Budget, _modified_equation

    for scheme, end in (
        (gf.MSAV(), "P of parameters"),
        (gf.Adagrad(), "on symbols: abstract vectors have no entrywise product"),
        (gf.NoisyGradientDescent(), "or a single integer, got 'P'"),
    ):
        (entry,) = _modified_equation(scheme, _Budget())
        assert entry.status == "undecided"
        assert entry.detail.endswith(end)


class OtherOnNumbers(gf.RMSProp):
    """On floating-point numbers the step is a tenth longer."""

    def step(self, problem, state, dt):
        return super().step(problem, state, dt if state.theta.dtype == object else 1.1 * dt)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (gf.Adagrad(), "two coordinates: a step with dt = 0 adds E_0.*to v_0, which grows"),
        (OtherOnNumbers(), "iterates in floating point do not follow the field"),
        (gf.MSAV(), "it asks whether N < 2, .* N of residuals"),
    ],
    ids=str,
)
def test_why_there_is_no_field_is_told(scheme, message):
    from gradflow.certificates.modified_equation import modified_equation

    with pytest.raises(ValueError, match=message):
        modified_equation(scheme)


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        (broken_schemes.ClipsSteepGradients(), True),
        (broken_schemes.ClipsSteepCoordinates(), True),
        (broken_schemes.GuardsAgainstNoEnergy(), False),
        (gf.SAV(), False),
        (gf.ElementwiseSAV(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_scope_tells_that_a_step_may_be_another_one_elsewhere(scheme, told):
    """A condition that is known at random points only is no condition that always holds."""
    found = [entry for entry in modified_equation(scheme) if entry.status == "proved"]
    assert [entry.name for entry in found][:2] == ["modified field", "modified loss"]
    for entry in found:
        assert ("every condition of the step is as it is for small dt" in entry.scope) == told


def test_a_scope_leaves_out_where_a_coefficient_has_no_value():
    from gradflow.certificates.modified_equation import modified_equation

    for scheme, ends in ((gf.Adam(reading="norm", beta2=0.9), True), (gf.SAV(), False), (gf.HeavyBall(), False)):
        for entry in modified_equation(scheme):
            assert entry.scope.endswith("where the gradient does not vanish") == ends


class LaterUndefined(broken_schemes.ExplicitMidpoint):
    """The second term of the field, and no other, divides by the norm of the gradient."""

    order = 1

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        return FlowState(state.theta - dt * g - dt**2 * E / problem.inner(g, g) * g)


def test_a_scope_leaves_out_where_one_of_the_coefficients_has_no_value():
    from gradflow.certificates.modified_equation import modified_equation

    assert modified_equation(LaterUndefined())[0].scope.endswith("where the gradient does not vanish")


@dataclass(frozen=True)
class Thresholded:
    """A step on coordinates that is halved for a small setting."""

    large: float = 10.0
    speed = None

    def init(self, problem, theta):
        return FlowState(theta)

    def step(self, problem, state, dt):
        xp = array_namespace(state.theta)
        g = problem.energy_and_gradient(state.theta)[1]
        return FlowState(state.theta - dt * xp.where(self.large > 5, 1.0, 0.5) * g * g * g)


@pytest.mark.parametrize("large", [10.0, 1.0])
def test_letters_for_settings_do_not_change_the_branch(large):
    """Letters are drawn between 0 and 2, where the step is another one for a setting of 10."""
    from gradflow.certificates.modified_equation import modified_equation

    detail = modified_equation(Thresholded(large))[0].detail
    assert f"theta_0' = {'-E_0**3' if large > 5 else '-E_0**3/2'} + dt" in detail


@pytest.mark.parametrize("sign", ["positive", "nonnegative"])
def test_a_vector_vanishes_with_its_norm_only_under_a_positive_factor(sign):
    """Where a |u|^2 + |v|^2 is not positive v is zero; u is if a is positive, and may be any vector for a = 0."""
    sp = pytest.importorskip("sympy")
    from gradflow.certificates.proving import _ways as ways
    from gradflow.symbolic import Space, where

    u, v = Space().vectors("u v")
    a = sp.Symbol("a", **{sign: True})
    moving, resting = ways(lambda: where(a * (u @ u) + v @ v > 0, u + v, u - v))
    assert str(moving) == str(u + v)
    assert str(resting) == ("0" if sign == "positive" else str(u))


def test_the_numbers_of_residuals_in_a_scope_are_those_that_were_tried():
    from gradflow.certificates.proving import FEW
    from gradflow.certificates.proving import _few_squares as few_squares

    for quick, numbers in ((True, {3}), (False, {3, 4})):
        tried = {problem.n for _, problem, _ in few_squares(gf.MSAV(), exact=False, quick=quick)}
        assert tried == numbers
    assert "sum of 3 or 4 squares" in FEW


@pytest.mark.parametrize(
    ("scheme", "until"),
    [
        (gf.GradientDescent(), "dt lambda < 2"),
        (gf.HeavyBall(momentum=0.5), "dt lambda < 3"),
        (gf.ImplicitEuler(), "every dt lambda"),
    ],
    ids=["GradientDescent", "HeavyBall", "ImplicitEuler"],
)
def test_the_threshold_on_a_quadratic_is_told(scheme, until):
    threshold, orbits = measured_stability(scheme)
    assert threshold.claim.endswith(f"asymptotically stable for {until}")
    assert threshold.status == "measured"
    assert ("diverges" in orbits.detail) == (until != "every dt lambda")
    exact = exact_threshold(scheme, threshold)
    assert exact.claim == threshold.claim


@pytest.mark.parametrize(
    ("scheme", "carried"),
    [
        (gf.SAV(), "aux"),
        (gf.Restart(gf.SAV()), ""),
        (gf.Restart(gf.SAV(), every=10), ""),
        (gf.GradientDescent(), ""),
    ],
    ids=["SAV", "Restart", "every 10th", "GradientDescent"],
)
def test_an_auxiliary_variable_that_stays_is_told(scheme, carried):
    detail = measured_stability(scheme)[0].detail
    assert (f"the fixed point with {carried} by definition" in detail) == bool(carried)
    assert ("any other value" in detail) == bool(carried)
    assert ("the steps take turns: looked at are 10 of them" in detail) == (getattr(scheme, "every", 1) == 10)


def test_a_scheme_that_does_not_stay_at_the_minimum_has_no_threshold():
    threshold = measured_stability(gf.NoisyGradientDescent(sigma=0.1))[0]
    assert threshold.status == "not applicable"


def test_printed_formulas_that_are_no_scheme_for_the_energy_are_told():
    certificate = gf.certify(gf.ExpSAV(form="section_2.2.4"), proofs=False, quick=True)
    assert [text.partition(":")[0] for text in certificate.failures] == [
        "modified energy",
        "order of the auxiliary variable",
    ]
    assert certificate["identity"].status == "measured"


def test_json_and_text_hold_every_entry():
    certificate = gf.certify(gf.SAV(), proofs=False, quick=True)
    assert Certificate.from_json(certificate.to_json()) == certificate
    text, page = str(certificate), certificate.to_markdown(level=2)
    assert text.startswith("SAV(C=1.0, stabilization=0.0)\nholds: ")
    assert page.startswith("## SAV\n")
    for entry in certificate.entries:
        assert f"{entry.name}: {entry.claim}" in text
        assert f"**{entry.name}**, {entry.status}" in page
        assert entry.section in SECTIONS
        assert entry.status in STATUSES
    long = "; ".join(f"x_{k}' = -{'y' * 90}" for k in range(8))
    told_long = Certificate("S()", (Entry("step", "runs", "it runs", "proved", "", long),))
    assert Certificate.from_json(told_long.to_json()) == told_long
    for k in range(8):
        assert re.search(rf"^ +x_{k}' = -y+$", str(told_long), re.M)
        assert re.search(rf"^  \* x.?_{k}' = -y+$", told_long.to_markdown(), re.M)
    with pytest.raises(ValueError, match="no entry is called 'x'"):
        certificate["x"]
    with pytest.raises(ValueError, match="level must be"):
        certificate.to_markdown(level=6)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "scheme": "x", "entries": [{"x": 1}]}',
        '{"format": 1, "scheme": "certificate", "entries": ["x"]}',
        '{"format": 1, "scheme": 5, "entries": []}',
        '{"format": 1, "scheme": "x", "entries": 3}',
    ],
)
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match=r"certificate|must be a text|must be an object"):
        Certificate.from_json(text)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="status must be one of"):
        Certificate("x", (Entry("cost", "x", "x", "good"),))
    with pytest.raises(ValueError, match="section must be one of"):
        Certificate("x", (Entry("x", "x", "x", "false"),))


@pytest.mark.parametrize("scheme", [None, 3, np.zeros(2), object(), "SAV"])
def test_what_is_no_scheme_is_refused(scheme):
    with pytest.raises(ValueError, match="must have the methods init and step"):
        gf.certify(scheme)


@pytest.mark.parametrize(("name", "value"), [("speed", 0.0), ("speed", "fast"), ("order", 0), ("order", 1.5)])
def test_claims_that_are_no_such_numbers_are_refused(name, value):
    kind = type("Mine", (broken_schemes.ExplicitMidpoint,), {name: value})
    with pytest.raises(ValueError, match=name):
        gf.certify(kind(), proofs=False)


def test_a_stabilized_scheme_is_followed_until_dt_is_small_against_it():
    """With S = 300 a step of 1/160 is not small: the run is shorter."""
    for S in (10.0, 300.0):
        assert gf.certify(gf.SAV(C=0.5, stabilization=S), proofs=False).failures == ()


def test_large_constants_and_long_memories_are_no_failures():
    for scheme in (gf.SAV(C=1e6), gf.ExpSAV(scale=1e3), gf.HeavyBall(momentum=0.75)):
        assert gf.certify(scheme, proofs=False, quick=True).failures == ()
    assert gf.certify(gf.HeavyBall(momentum=0.9999), proofs=False, quick=True)["limit flow"].status == "undecided"


def test_what_relaxation_spends_is_judged_with_both_terms():
    certificate = gf.certify(gf.Relaxed(gf.IEQ(), budget="numerical"), proofs=False, quick=True)
    assert certificate.holds
    assert certificate["decay"].status == "measured"


def test_a_class_that_needs_arguments_is_refused():
    with pytest.raises(ValueError, match="must be an instance of Restart"):
        gf.certify(gf.Restart)


def test_without_sympy_the_extra_is_named():
    code = (
        "import sys; sys.modules['sympy'] = None; import gradflow as gf\n"
        "assert gf.certify(gf.GradientDescent(), proofs=False, quick=True).holds\n"
        "try: gf.certify(gf.GradientDescent())\n"
        "except ImportError as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "gradflow[proofs]" in out.stdout


def test_the_trials_differ_in_every_fact_and_keep_the_dtype():
    kinds = {}
    for trial in trials(gf.SAV(), dtype=np.float32):
        assert trial.theta.dtype == trial.problem.energy_and_gradient(trial.theta)[1].dtype == np.float32
        for kind, fact in trial.facts.items():
            kinds.setdefault(kind, set()).add(fact)
    assert {kind: len(facts) for kind, facts in kinds.items()} == {"S": 3, "L": 3, "inner": 4, "samples": 2}


def test_derivatives_of_the_trials_are_right():
    for trial in trials(gf.GradientDescent()):
        gf.check_derivatives(trial.problem, trial.theta)


def test_the_stabilization_of_a_wrapped_scheme_is_found():
    scheme = gf.Restart(gf.SAV(C=3.0))
    assert takes_stabilization(scheme)
    assert not takes_stabilization(gf.Adam())
    assert stabilized(scheme, 2.0) == gf.Restart(gf.SAV(C=3.0, stabilization=2.0))


def test_common_facts_tell_what_only_failures_have():
    a, b, c = {"x": "1", "y": "1"}, {"x": "2", "y": "1"}, {"x": "3", "y": "2"}
    assert common_facts([a], [b, c]) == ["in every case with 1, in none with 2 or 3", "in no case with 2"]
    assert common_facts([a, b], [a, c]) == ["in no case with 3", "in no case with 2"]
    assert common_facts([], [a]) == []


def test_the_command_tells_by_its_exit_code():
    right = call(f"{FILE}:ExplicitMidpoint", "--no-proofs", "--quick")
    assert right.exit_code == 0
    assert "holds: " in right.stdout
    wrong = call(f"{FILE}:WrongFactor", "--no-proofs", "--quick")
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("gradflow: WrongFactor: limit flow: ")
    assert json.loads(call("GradientDescent", "--no-proofs", "--quick", "--format", "json").stdout)["holds"] is True
    several = call("GradientDescent", "HeavyBall", "--no-proofs", "--quick", "--format", "json")
    assert [one["scheme"].partition("(")[0] for one in json.loads(several.stdout)] == ["GradientDescent", "HeavyBall"]
    assert call("GradientDescent", "--no-proofs", "--quick", "--format", "markdown").stdout.startswith(
        "# GradientDescent"
    )


def test_the_command_certifies_every_scheme_in_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import gradflow as gf\n"
        "class Mine:\n"
        "    init = gf.GradientDescent().init\n"
        "    step = gf.GradientDescent().step\n"
        "made = gf.RungeKutta4()\n"
    )
    result = call(tmp_path / "mine.py", "--no-proofs", "--quick", "--out", tmp_path / "sheets")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["Mine.json", "Mine.md"]
    result = call(f"{tmp_path / 'mine.py'}:made", "--no-proofs", "--quick")
    assert "RungeKutta4()" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["SAW"], ["no scheme is called 'SAW'", "SAV"]),
        (["nowhere.py"], ["there is no file nowhere.py"]),
        ([f"{FILE}:Nothing"], ["has no 'Nothing'", "ExplicitMidpoint"]),
        ([f"{FILE}:MISTAKES"], ["must have the methods init and step"]),
        (["SAV", "--format", "pdf"], ["--format must be one of", "pdf"]),
        ([f"{Path(__file__).parent / 'cases.py'}"], ["has no class with the methods init and step"]),
    ],
)
def test_mistakes_of_the_caller_end_with_2(arguments, words):
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("gradflow: ")
    for word in words:
        assert word in result.stderr


def test_a_file_that_cannot_be_executed_ends_with_2(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0\n")
    result = call(tmp_path / "bad.py")
    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize("where", ["module", "__init__", "init", "step"])
@pytest.mark.parametrize("what", ["sys.exit(0)", "raise RuntimeError('no')"])
def test_a_file_that_ends_the_process_never_ends_with_0(tmp_path, where, what):
    lines = {place: what if place == where else "pass" for place in ("module", "__init__", "init", "step")}
    (tmp_path / "ends.py").write_text(
        "import sys\nimport gradflow as gf\n"
        f"{lines['module']}\n"
        "class Mine(gf.RungeKutta4):\n"
        f"    def __init__(self): {lines['__init__']}\n"
        f"    def init(self, problem, theta): {lines['init']}; return super().init(problem, theta)\n"
        f"    def step(self, problem, state, dt): {lines['step']}; return super().step(problem, state, dt)\n"
    )
    result = call(tmp_path / "ends.py", "--no-proofs", "--quick")
    assert result.exit_code == (1 if where in ("init", "step") else 2)
    assert result.stderr.startswith("gradflow: ")
    assert ("SystemExit" if "exit" in what else "RuntimeError") in result.stderr


def test_what_a_step_prints_is_no_part_of_the_json(tmp_path):
    (tmp_path / "loud.py").write_text(
        "import gradflow as gf\n"
        "print('loaded')\n"
        "class Mine(gf.RungeKutta4):\n"
        "    def step(self, problem, state, dt): print('step'); return super().step(problem, state, dt)\n"
    )
    result = call(tmp_path / "loud.py", "--no-proofs", "--quick", "--format", "json")
    assert json.loads(result.stdout)["holds"] is True
    assert "loaded" in result.stderr


def test_a_large_speed_is_followed_for_a_short_time():
    kind = type("Mine", (broken_schemes.SlowDescent,), {"speed": 1e5})
    certificate = gf.certify(kind(), proofs=False, quick=True)
    assert certificate["order"].status == "measured"


def test_a_scheme_that_cannot_be_certified_does_not_end_the_command(tmp_path):
    (tmp_path / "two.py").write_text(
        "import gradflow as gf\n"
        "class Needs(gf.RungeKutta4):\n"
        "    def __init__(self, rate): pass\n"
        "class Mine(gf.GradientDescent): pass\n"
    )
    result = call(tmp_path / "two.py", "--no-proofs", "--quick")
    assert result.exit_code == 2
    assert "Needs: scheme must be an instance of Needs" in result.stderr
    assert "Mine(" in result.stdout


def test_two_schemes_of_one_name_are_not_written_into_one_file(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s.py").write_text("import gradflow as gf\nclass Mine(gf.GradientDescent): pass\n")
    both = [f"{tmp_path / folder / 's.py'}:Mine" for folder in ("a", "b")]
    result = call(*both, "--no-proofs", "--quick", "--out", tmp_path / "sheets")
    assert result.exit_code == 2
    assert "two schemes called Mine" in result.stderr
    assert not (tmp_path / "sheets").exists()


@pytest.mark.parametrize("name", ["random", "numpy", "sympy", "copy", "gradflow"])
def test_a_file_takes_the_name_of_no_module(tmp_path, name):
    before = sys.modules.get(name)
    (tmp_path / f"{name}.py").write_text("import sympy\nimport gradflow as gf\nclass Mine(gf.GradientDescent): pass\n")
    command = [sys.executable, "-m", "gradflow", "certify", str(tmp_path / f"{name}.py"), "--quick"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "proved" in result.stdout
    assert sys.modules.get(name) is before


# The stored datasheets.


def stored(name):
    return Certificate.from_json((SHEETS / f"{name}.json").read_text())


def told(entry):
    """Return what an entry says but for its digits; what is proved is measured as well."""
    status = "measured" if entry.status == "proved" else entry.status
    claim = "" if entry.name == "threshold" else re.sub(r"-?\d[\d.e+-]*", "#", entry.claim)  # exact or in digits
    return entry.name, claim, status


@pytest.mark.parametrize("name", REGISTRY)
def test_the_stored_datasheet_is_of_this_scheme_and_holds(name):
    sheet = stored(name)
    assert sheet.scheme == as_call(describe(library(name)))
    assert sheet.failures == ()
    assert (SHEETS / f"{name}.md").read_text() == sheet.to_markdown()


@pytest.mark.parametrize("name", ["HeavyBall", "Adam", "SAV", "IEQ", "SecondOrder", "Restart"])
def test_the_stored_datasheet_says_what_is_measured_now(name):
    now, sheet = gf.certify(library(name), proofs=False, quick=True), stored(name)
    kept = [entry for entry in sheet.entries if entry.name in {entry.name for entry in now.entries}]
    assert list(map(told, now.entries)) == list(map(told, kept))
    assert now["cost"] == sheet["cost"]


@pytest.mark.parametrize("name", ["GradientDescent", "ExpSAV"])
def test_the_stored_datasheet_says_what_is_proved_now(name):
    now, sheet = gf.certify(library(name)), stored(name)
    assert [(entry.name, entry.claim, entry.status) for entry in now.entries] == [
        (entry.name, entry.claim, entry.status) for entry in sheet.entries
    ]


def test_there_is_a_datasheet_for_every_scheme_and_no_other():
    assert {path.stem for path in SHEETS.glob("*.json")} == set(REGISTRY)
    page = (SHEETS / "index.md").read_text()
    for name in REGISTRY:
        assert re.search(rf"^{name}$", page, re.M)


def test_a_threshold_that_is_a_root_is_a_number_too():
    found = measured_stability(gf.RungeKutta4())[0]
    claim = exact_threshold(gf.RungeKutta4(), found).claim
    assert claim.endswith("dt lambda < 2*CRootOf(x**3 - 2*x**2 + 3*x - 3, 0), about 2.78529")


@pytest.mark.parametrize("name", ["ImplicitEuler", "IEQ", "NewtonCG", "SecondOrder", "GradientDescent", "SAV"])
def test_orbits_are_beyond_a_threshold_only_where_there_is_one(name):
    found = gf.backward_error.stability(library(name), steps=64).threshold
    orbits = measured_stability(library(name))[1]
    assert orbits.detail.startswith("beyond the threshold" if found < np.inf else "there is no threshold: ")


class OwnTime:
    """Explicit Euler with steps of dt / (1 + 10 dt): stable for every dt if the curvature is below 20."""

    def init(self, problem, theta):
        return FlowState(theta)

    def step(self, problem, state, dt):
        return FlowState(state.theta - dt / (1 + 10 * dt) * problem.energy_and_gradient(state.theta)[1])


@pytest.mark.parametrize("scheme", [gf.GradientDescent(stabilization=0.25), gf.SAV(stabilization=0.25), OwnTime()])
def test_a_threshold_that_is_no_multiple_is_told_for_one_curvature(scheme):
    entry = gf.certify(scheme)["threshold"]
    assert entry.claim.startswith("the minimum of E = theta^2 / 2 is")
    assert "lambda" not in entry.claim
