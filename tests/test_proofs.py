"""Derivations: every claim has a verdict and a check that runs, every scheme its obligations, and a changed sign is noticed."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pytest
import sympy as sp
from typer.testing import CliRunner

import gradflow
from gradflow.cli import app
from gradflow.proofs import check, follows, is_sum_of_squares
from gradflow.proofs.edits import double_edits, further_edits, other_constants, positions
from gradflow.proofs.harness import score, score_own
from gradflow.proofs.ledger import Claim, decide, read_claims
from gradflow.proofs.mutants import (
    all_mutants_of,
    exchanged,
    functions_of,
    mutants_of,
    read_equivalent,
    read_patterns,
    sign_mutants_of,
    survives,
)
from gradflow.proofs.page import claims_page
from gradflow.proofs.rooms import ROOMS, Room, judged, merged, modules_of
from gradflow.proofs.verify import OBLIGATIONS, decisions, load, notebook_of, run_topic, topics, verify
from gradflow.schemes import REGISTRY
from gradflow.symbolic import Undecided

MARK = "@check('run', 'b')\n"

ROOT = Path(gradflow.__file__).parents[1]
DERIVATIONS = ROOT / "derivations"
LEDGER = decisions(DERIVATIONS)
TOPICS = topics(DERIVATIONS)
x, y = sp.symbols("x y", real=True)


@check("identity", "one coordinate")
def holds():
    """x = x."""


@check("identity", "one coordinate")
def fails():
    """0 = 1."""
    raise AssertionError("no")


@pytest.mark.parametrize("decision", LEDGER, ids=lambda d: d.claim.id)
def test_every_verdict_stands(decision):
    assert decision.fault == ""
    if not decision.checks:
        assert decision.claim.reason.startswith(("literature quotation", "reported experiment", "no criterion"))


def test_every_id_that_a_check_names_is_a_row():
    known = {decision.claim.id for decision in LEDGER}
    for topic in TOPICS:
        for one in load(DERIVATIONS, topic).values():
            assert {*one.proves, *one.refutes, *dict(one.given)} <= known, f"{topic}.{one.name}"


@pytest.mark.parametrize("scheme", REGISTRY.values(), ids=lambda s: s.__name__)
def test_every_scheme_has_the_three_obligations(scheme):
    assert notebook_of(scheme) in TOPICS, f"derivations/{notebook_of(scheme)}.nb.py is missing"
    assert set(OBLIGATIONS) <= set(load(DERIVATIONS, notebook_of(scheme)))


@pytest.mark.parametrize("topic", TOPICS)
def test_derivations_decide_and_do_not_simplify(topic):
    text = (DERIVATIONS / f"{topic}.nb.py").read_text(encoding="utf-8")
    assert ".simplify(" not in text.replace(".nsimplify(", "")
    assert "import simplify" not in text
    assert text.startswith("# ---\n# jupyter:\n#   jupytext:")


def test_the_claims_of_a_document_are_numbered_without_gaps():
    numbers = {}
    for decision in LEDGER:
        document, _, number = decision.claim.id.rpartition("-")
        numbers.setdefault(document, []).append(int(number))
    assert {"C000", "C001", "C002", "C003", "C004"} <= set(numbers)
    for document, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), document


def tolerances(function):
    """Return what a check does in floating point: comparisons within a tolerance, random numbers, runs of a solver."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and node.attr in {"random", "default_rng"}:
            yield ast.unparse(node)
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                small = isinstance(part, ast.Constant) and isinstance(part.value, float) and 0 < part.value < 1e-3
                if small or ast.unparse(part) in {"np.allclose", "np.isclose", "gf.solve"}:
                    yield ast.unparse(node)


def checks_of(topic):
    """Yield each check of a derivation with its function in the source."""
    known = load(DERIVATIONS, topic)
    for node in ast.parse((DERIVATIONS / f"{topic}.nb.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name in known:
            yield known[node.name], node


@pytest.mark.parametrize("topic", TOPICS)
def test_a_check_in_floating_point_says_that_it_is_run(topic):
    for one, function in checks_of(topic):
        if "run" not in one.method.split(", "):
            assert list(tolerances(function)) == [], one.name


def test_the_claims_page_is_the_ledger():
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert page == claims_page(LEDGER), "make it anew: gradflow claims --page > docs/claims.md"


def test_every_equivalent_mutant_is_listed_once():
    rows = tomllib.loads((DERIVATIONS / "equivalent_mutants.toml").read_text(encoding="utf-8")).get("mutant", [])
    assert len(read_equivalent(DERIVATIONS)) == len(rows)
    assert all(len(row["reason"]) > 20 for row in rows)


def test_a_check_needs_a_known_method_and_a_statement():
    with pytest.raises(ValueError, match="method must be one of"):
        check("belief", "everywhere")
    with pytest.raises(ValueError, match="must state"):
        check("identity", "everywhere")(lambda: None)
    with pytest.raises(ValueError, match="proves must be a tuple of ids, got 'C9'"):
        check("identity", "everywhere", proves="C9")
    with pytest.raises(ValueError, match="must state a condition for C9"):
        check("identity", "everywhere", given={"C9": " "})
    with pytest.raises(ValueError, match="C9 must be in proves or in given"):
        check("identity", "everywhere", proves=("C9",), given={"C9": "x > 0"})


ROW = """source = "A document"
[[claim]]
id = "C9"
place = "p. 1"
statement = "x = x"
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('place = "p. 1"\n', ""), "place"),
        (("place", "page"), "page"),
        (("place", "verdict"), "verdict"),
        (('"x = x"', '"x = x"\nsame_as = "C8"'), "same_as must be a row that stands for itself"),
    ],
)
def test_a_row_that_is_not_well_formed_is_refused(tmp_path, change, message):
    (tmp_path / "a.toml").write_text(ROW)
    assert [claim.id for claim in read_claims(tmp_path)] == ["C9"]
    (tmp_path / "a.toml").write_text(ROW.replace(*change))
    with pytest.raises(ValueError, match=message):
        read_claims(tmp_path)


def decided(*marks, **fields):
    """Return what becomes of C9, which checks with the given marks name."""
    row = {"source": "A", "id": "C9", "place": "p", "statement": "s", "printed": "", "corrected": "", "reason": ""}
    other = Claim(**{**row, "id": "C8", "same_as": ""})
    checks = {f"c{n}": check("identity", "here", **mark)(holds.function) for n, mark in enumerate(marks)}
    one, same = decide([Claim(**{**row, "same_as": "", **fields}), other], {"topic": checks})
    assert same.verdict == "unchecked"
    return one


PROVES, REFUTES, GIVEN = {"proves": ("C9",)}, {"refutes": ("C9",)}, {"given": {"C9": "x > 0"}}


@pytest.mark.parametrize(
    ("marks", "fields", "verdict"),
    [
        ([], {"reason": "no criterion"}, "unchecked"),
        ([PROVES], {}, "true"),
        ([PROVES, PROVES], {}, "true"),
        ([GIVEN], {}, "true under conditions"),
        ([GIVEN | REFUTES], {}, "true under conditions"),
        ([REFUTES, GIVEN], {}, "true under conditions"),
        ([REFUTES], {"corrected": "y"}, "false"),
        ([PROVES | REFUTES], {"corrected": "y"}, "ambiguous"),
    ],
)
def test_the_verdict_is_what_the_checks_show(marks, fields, verdict):
    one = decided(*marks, **fields)
    assert (one.verdict, one.fault) == (verdict, "")
    assert len(one.checks) == len(marks)
    assert one.conditions == (("x > 0",) if verdict == "true under conditions" else ())


@pytest.mark.parametrize(
    ("marks", "fields", "fault"),
    [
        ([], {}, "no check names it"),
        ([PROVES], {"reason": "no criterion"}, "it has a reason for being unchecked"),
        ([REFUTES], {}, "what is true instead"),
        ([PROVES | REFUTES], {}, "what is true instead"),
        ([PROVES, REFUTES], {"corrected": "y"}, "contradict each other (topic.holds: true, topic.holds: false)"),
        ([PROVES, GIVEN], {}, "contradict each other"),
        ([PROVES], {"same_as": "C8", "reason": "no criterion"}, "C8 decides it, and holds names it as well"),
    ],
)
def test_a_verdict_that_does_not_stand_is_told(marks, fields, fault):
    assert fault in decided(*marks, **fields).fault


def test_claims_that_are_the_same_have_one_verdict():
    row = {"source": "A", "place": "p", "statement": "s", "printed": "", "corrected": "", "reason": ""}
    claims = [Claim(id="C8", same_as="C9", **row), Claim(id="C9", same_as="", **row)]
    for mark, verdict in ((PROVES, "true"), (GIVEN, "true under conditions"), (REFUTES, "false")):
        both = decide(claims, {"topic": {"holds": check("identity", "here", **mark)(holds.function)}})
        assert [one.verdict for one in both] == [verdict, verdict]
        assert both[0].checks == both[1].checks != ()


def test_an_id_without_a_row_and_a_row_without_a_check_fail_the_command(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "a.toml").write_text(ROW)
    (tmp_path / "topic.nb.py").write_text(
        DERIVATION.format(body="pass").replace('coordinate"', 'coordinate", proves=["C7"]')
    )
    told = {line.id: line.failure for line in verify(tmp_path, [], 1) if line.failure}
    assert told == {"topic.one": "the ledger has no row C7", "C9": "no check names it, and it does not say why"}


DERIVATION = """from gradflow.proofs import check


@check("identity", "one coordinate")
def one():
    \"\"\"1 = 1.\"\"\"
    {body}
"""


OWN = {
    "own_flow.py": """def own_update(theta, g, *, dt, solve):
    return theta - dt * solve(g)
""",
    "own_flow.nb.py": """import sympy as sp
from gradflow.proofs import check, linear_kinds
from gradflow.symbolic import is_small, is_zero
from own_flow import own_update

dt = sp.Symbol("dt", positive=True)


def steps():
    for kind in linear_kinds():
        theta, g = kind.space.vectors("theta g")
        yield kind, theta, g, own_update(theta, g, dt=dt, solve=lambda u, kind=kind: kind.S.solve_shifted(u, dt)) - theta


@check("identity", "every S")
def energy_law():
    \"\"\"(g, d) = -|d|^2/dt - (S d, d).\"\"\"
    for kind, theta, g, d in steps():
        assert is_zero(kind.space.inner(g, d) + kind.space.inner(d, d) / dt + kind.space.inner(kind.S.apply(d), d))


@check("identity", "every S")
def consistency():
    \"\"\"d = -dt g + O(dt^2).\"\"\"
    for step in steps():  # vectors in a tuple, which have no ==
        kind, theta, g, d = step
        assert is_small(d + dt * g, dt, 2)


@check("identity", "every S")
def solvability():
    \"\"\"(I + dt S) d = -dt g.\"\"\"
    for kind, theta, g, d in steps():
        assert is_zero(d + dt * kind.S.apply(d) + dt * g)
""",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return the derivation of a scheme outside the library."""
    for name, text in OWN.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "own_flow.nb.py"
    sys.modules.pop("own_flow", None)


def test_a_derivation_outside_the_library_is_verified_and_its_scheme_mutated(own):
    told = {line.id: line.failure for line in verify(own.parent, ["own_flow"], 1)}
    assert told == {"own_flow.energy_law": "", "own_flow.consistency": "", "own_flow.solvability": ""}
    for kind, least in (("updates", 3), ("signs", 1)):
        total = score_own(own.parent, "own_flow", kind)
        assert total.passed
        assert total.killed >= least
    assert CliRunner().invoke(app, ["verify", str(own)]).exit_code == 0


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("def consistency", "def order", "must have the check consistency"),
        ("from own_flow import own_update", "from gradflow.schemes.sav import sav_update as own_update", "must import"),
        ("inner(d, d) / dt", "inner(d, d)", "energy_law must hold before it can judge a mutant"),
        ("import sympy", "import nothing_of_this_name, sympy", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_derivation_that_cannot_judge_mutants_is_refused(own, before, after, told):
    own.write_text(own.read_text().replace(before, after))
    with pytest.raises(ValueError, match=told):
        score_own(own.parent, "own_flow", "updates")


def test_a_failure_names_its_line_and_the_kind_of_linear_parts(own):
    wrong = "assert is_small(d + dt * g / (1 if isinstance(kind.S, Shift) else 1), dt, 3 if isinstance(kind.S, Shift) else 2)"
    text = own.read_text().replace("assert is_small(d + dt * g, dt, 2)", wrong)
    own.write_text(f"from gradflow.energies.linear import Shift\n{text}")
    failed = run_topic(own.parent, "own_flow")["consistency"].failure
    line = 1 + own.read_text().splitlines().index(f"        {wrong}")
    assert failed.startswith(f"AssertionError, own_flow.nb.py:{line}, L and S: number and number: assert is_small(d")


@pytest.mark.parametrize("name", ["C001-39", "sav.step_bounds", "AdaptiveSAV.solvability", "C000-13"])
def test_a_claim_and_a_check_are_run_alone_by_the_names_of_their_lines(name):
    (line,) = verify(DERIVATIONS, [name], 1)
    assert (line.id, line.failure) == (name, "")
    by_id = {one.claim.id: one for one in LEDGER}
    expected = by_id[name].verdict if name in by_id else "holds"
    assert line.verdict.partition(" (unch")[0].startswith(expected)


@pytest.mark.parametrize(
    ("name", "told"), [("nothing", "no derivation, check or claim"), ("sav.nothing", "has no check 'nothing'; it has")]
)
def test_what_cannot_be_verified_is_told_before_anything_runs(name, told):
    with pytest.raises(ValueError, match=told):
        next(verify(DERIVATIONS, ["sav", name], 1))


@pytest.mark.parametrize("verdict", ["false", "true under conditions"])
def test_the_claims_of_a_verdict_are_printed(verdict):
    told = CliRunner().invoke(app, ["claims", verdict])
    ids = [one.claim.id for one in LEDGER if one.verdict == verdict]
    assert [line.split()[0] for line in told.output.splitlines() if line[:1] in ("C", "P")] == ids


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DERIVATION.format(body="assert 1 == 1"), ""),
        (DERIVATION.format(body="assert 1 == 2"), "AssertionError"),
        (DERIVATION.format(body="raise SystemExit(0)"), "SystemExit"),
        (DERIVATION.format(body="import nothing_of_this_name"), "ModuleNotFoundError"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        (DERIVATION.format(body="pass") + DERIVATION.format(body="pass"), "defines a name twice: one"),
    ],
)
def test_whatever_ends_a_check_is_told(tmp_path, text, told):
    (tmp_path / "topic.nb.py").write_text(text)
    failures = [outcome.failure for outcome in run_topic(tmp_path, "topic").values()]
    assert len(failures) == 1
    assert failures[0].startswith(told) if told == "" else told in failures[0]


def test_without_assertions_nothing_holds():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONOPTIMIZE": "1"}
    command = [sys.executable, "-m", "gradflow", "verify", "gradient_descent", "--jobs", "1"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 1
    assert "checks are assertions" in result.stdout


def test_a_listed_mutant_that_no_edit_makes_is_told(tmp_path):
    shutil.copytree(DERIVATIONS, tmp_path / "derivations")
    with (tmp_path / "derivations" / "equivalent_mutants.toml").open("a", encoding="utf-8") as file:
        file.write("\n[[mutant]]\nfunction = 'gradient_descent_update'\nedit = 'a -> b'\nreason = 'none at all'\n")
    told = score(tmp_path / "derivations", "GradientDescent", "updates")
    assert not told.passed
    assert told.stale == ("gradient_descent_update: a -> b",)
    assert score(DERIVATIONS, "GradientDescent", "updates").passed


def test_a_check_that_cannot_tell_kills_nothing():
    module = import_module("gradflow.schemes.gradient_descent")
    mutant = next(iter(mutants_of(module)))

    def undecided():
        raise Undecided("no")

    with pytest.raises(Undecided):
        survives(module, mutant, [undecided])
    assert not survives(module, mutant, [undecided, fails])


def test_sums_of_squares():
    a = sp.Symbol("a", nonnegative=True)
    assert is_sum_of_squares(a * x**2 + (x - y) ** 2, [(a, x), (1, x - y)])
    assert not is_sum_of_squares(x**2 - y**2, [(1, x), (-1, y)])
    assert not is_sum_of_squares(x**2 + 1, [(1, x)])
    with pytest.raises(ValueError, match="real"):
        is_sum_of_squares(-(y**2), [(1, sp.I * y)])


def test_the_decision_procedure_knows_signs_roots_and_connectives():
    a, b = sp.symbols("a b", positive=True)
    assert follows(sp.sqrt(a * b) <= (a + b) / 2)
    assert not follows(x * y <= (x**2 + y**2) / 3)
    assert follows(x > 1, [sp.Or(x > 2, sp.And(x > 1, x < 2))])
    assert follows(1 / (1 + a) < 1)
    with pytest.raises(Undecided, match="z3 is given"):
        follows(sp.sin(x) <= 1)


def test_a_mutant_is_exchanged_and_the_original_restored():
    module = import_module("gradflow.schemes.gradient_descent")
    update = module.gradient_descent_update
    step = lambda: update(1.0, 1.0, dt=0.5, solve=lambda u: u)  # noqa: E731

    def notices():
        assert step() == 0.5

    found = {m.id: m for m in mutants_of(module)}
    mutant = found["gradient_descent_update: theta - dt * solve(f) -> theta + dt * solve(f)"]
    seen = []
    assert survives(module, mutant, [lambda: seen.append(step())])
    assert seen == [1.5]
    assert not survives(module, mutant, [notices])
    assert step() == 0.5


def test_every_sign_of_a_file_has_a_mutant():
    module = import_module("gradflow.schemes.sav")
    where = {m.function for m in sign_mutants_of(module)}
    assert {"sav_update", "SAV.init", "SAV.energy_terms", "quadratic_modified_energy"} <= where
    assert where <= set(functions_of(module))


def run(*arguments, root=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "gradflow", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=300, check=False)


def test_a_changed_sign_fails_the_command_and_is_named(tmp_path):
    for name in ("gradflow", "derivations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    fine = run("verify", "sav", "--jobs", "1", root=tmp_path)
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert ", 0 fail;" in fine.stdout
    scheme = tmp_path / "gradflow" / "schemes" / "sav.py"
    text = scheme.read_text(encoding="utf-8")
    right = "denominator = no_infinity(1 + dt * inner(g, A_g)"
    assert right in text
    scheme.write_text(text.replace(right, right.replace("1 +", "1 -")), encoding="utf-8")
    broken = run("verify", "sav", "--jobs", "1", root=tmp_path)
    assert broken.returncode == 1
    assert "SAV.energy_law" in broken.stderr
    assert "C001-40" in broken.stderr


def test_unknown_names_are_refused():
    for arguments in (["verify", "nothing"], ["mutants", "Nothing"], ["mutants", "--room", "nowhere"]):
        result = run(*arguments)
        assert result.returncode == 2
        assert "there are" in result.stderr


@pytest.mark.parametrize("path", sorted(DERIVATIONS.glob("*.nb.py")), ids=lambda path: path.name)
def test_a_derivation_defines_what_a_check_needs_before_the_check(path):
    """A page and a script run a check where it stands; `gradflow verify` runs it after all definitions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    needs = {
        name: {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in functions and n.id != name}
        for name, node in functions.items()
    }
    for name, node in functions.items():
        if not any("check" in ast.dump(decorator) for decorator in node.decorator_list):
            continue
        reached, ahead = set(), set(needs[name])
        while ahead:
            reached |= ahead
            ahead = set().union(*(needs[other] for other in ahead)) - reached
        late = [other for other in reached if functions[other].lineno > node.lineno]
        assert late == [], f"{path.name}: {name} needs {late}, defined below it"


def test_a_derivation_run_as_a_script_runs_its_checks():
    result = subprocess.run(
        [sys.executable, "derivations/sav.nb.py"],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.stdout.count("holds (") == len(load(DERIVATIONS, "sav"))


FORMULA = """def update(x, y, *, low=0.5, strict=True):
    if strict and not x <= low:
        y += 1
    return max(x, f(y, 3, key=x)[1:])
"""


def edited(*kinds):
    definition = ast.parse(FORMULA).body[0]
    return {ast.unparse(new) for _, node in positions(definition) for kind in kinds for new in kind(node)}


def test_methods_of_every_kind_are_changed():
    names = set(functions_of(import_module("gradflow.models.linearization")))
    assert "NetworkLinearization._slope" in names
    names = set(functions_of(import_module("gradflow.curvature.gauss_newton")))
    assert "GaussNewtonModel.gradient" in names


def test_every_kind_of_further_edit_is_made():
    made = edited(further_edits)
    assert {"strict or not x <= low", "strict", "not x <= low", "x <= low", "x < low", "pass"} <= made
    assert {"min(x, f(y, 3, key=x)[1:])", "f(3, y, key=x)", "f(y, 3)", "4", "6", "0", "2", ":"} <= made


def test_other_constants_are_other_constants_of_the_type():
    for value in (0, 1, 3, 0.0, 1.0, 0.25, True, False):
        others = [one.value for one in other_constants(ast.Constant(value))]
        assert others
        assert all(type(one) is type(value) and one != value for one in others)
    assert list(other_constants(ast.Constant("text"))) == []


def test_a_double_edit_changes_every_place_and_a_sample_is_the_same_again():
    definition = ast.parse("def some_update(a, b):\n    c = a * b\n    return xp.sqrt(a) + c * a - b * 2").body[0]
    made = {edit: ast.unparse(changed) for edit, changed in double_edits(definition)}
    assert made["every a -> 2 * a"].count("2 * a") == 3
    assert "every xp -> 2 * xp" not in made
    assert [edit for edit, _ in double_edits(definition, pairs=3)] == [e for e, _ in double_edits(definition, pairs=3)]
    assert ast.unparse(definition).count("a * b") == 1


@pytest.mark.parametrize("name", ["gradflow.energies.linear", "gradflow.run.batches", "gradflow.curvature.descent"])
def test_every_mutant_is_exchanged_and_taken_back(name):
    module = import_module(name)
    before = {key: (f.__code__, f.__defaults__, f.__kwdefaults__) for key, f in functions_of(module).items()}
    count = 0
    for mutant in all_mutants_of(module):
        assert mutant.diff.startswith(f"{module.__file__}:")
        with exchanged(module, mutant):
            now = {key: (f.__code__, f.__defaults__, f.__kwdefaults__) for key, f in functions_of(module).items()}
            assert mutant.function.endswith("__init__") or now != before
        count += 1
    assert count > 20
    assert before == {key: (f.__code__, f.__defaults__, f.__kwdefaults__) for key, f in functions_of(module).items()}


def test_the_default_of_a_field_is_exchanged_in_every_class_that_has_it():
    module = import_module("gradflow.schemes.sav")
    changed = next(m for m in all_mutants_of(module) if m.default is not None and m.function == "SAV.__init__")
    field, value = changed.default
    kinds = [REGISTRY["SAV"], *REGISTRY["SAV"].__subclasses__()]
    before = [getattr(kind(), field) for kind in kinds]
    with exchanged(module, changed):
        assert getattr(REGISTRY["SAV"](), field) == value
    assert [getattr(kind(), field) for kind in kinds] == before


def test_every_room_has_its_files_proofs_and_tests():
    for name, room in ROOMS.items():
        assert modules_of(room), name
        assert set(room.topics) <= set(TOPICS)
        assert all((ROOT / "tests" / f"test_{one}.py").is_file() for one in room.tests)


TINY_PROOF = """from gradflow.proofs import check
from gradflow.schemes.gradient_descent import gradient_descent_update


@check("arithmetic", "one step")
def step():
    \"\"\"1 - 2 * (3 + 4) = -13.\"\"\"
    assert gradient_descent_update(1, 3, 4, dt=2, solve=lambda u: u) == -13
"""
TINY_TESTS = """import pytest
from gradflow import FunctionProblem, GradientDescent
from gradflow.schemes.gradient_descent import gradient_descent_update


def test_without_a_linear_part():
    assert gradient_descent_update(1, 3, dt=2, solve=lambda u: u) == -5


def test_a_door():
    with pytest.raises(ValueError, match="stabilization"):
        GradientDescent(stabilization=-1.0)
"""


def test_a_room_is_judged_by_its_proofs_and_then_by_its_tests(tmp_path):
    """In a process of a pool, as the command does it, and twice in one process."""
    (tmp_path / "derivations").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "derivations" / "tiny.nb.py").write_text(TINY_PROOF)
    (tmp_path / "tests" / "test_tiny.py").write_text(TINY_TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "derivations" / "equivalent_mutants.toml").write_text(
        "[[mutant]]\nfunction = 'gradient_descent_update'\nedit = 'a -> b'\nreason = 'none at all'\n"
        "[[pattern]]\nid = 'GradientDescent.init: .*'\nreason = 'nothing here runs it'\n"
    )
    room = Room(("schemes/gradient_descent",), ("tiny",), ("tiny",))
    pieces = [(tmp_path / "derivations", "tiny", room, None, 0, shard, 2) for shard in range(2)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        told = merged(list(pool.map(judged, pieces)))
    module = import_module("gradflow.schemes.gradient_descent")
    mutants = [m for m in all_mutants_of(module) if m.function != "gradient_descent_update"]
    ids = [one.partition("\n")[0] for one in told.survivors]
    unseen = [m.id for m in mutants if m.function == "GradientDescent.step"]
    assert {f"{one} (nothing runs this function)" for one in unseen} <= set(ids)
    assert told.equivalent == sum(m.function == "GradientDescent.init" for m in mutants)
    assert told.proofs + told.tests + told.equivalent + len(ids) == sum(1 for _ in all_mutants_of(module))
    assert not any(one.startswith("gradient_descent_update: theta - dt") for one in ids)
    assert told.proofs > 0
    assert told.tests > 0
    assert (told.hung, told.spoiled, told.stale) == (0, (), ("gradient_descent_update: a -> b",))
    assert not told.passed
    assert "tests, 0 by time" in str(told)


def test_a_pattern_of_equivalent_mutants_has_a_reason():
    assert all(len(reason) > 20 for reason in read_patterns(DERIVATIONS).values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MARK + "def lazy():\n    'a'\n    yield\n", "must be a plain function"),
        (MARK + "async def lazy():\n    'a'\n", "must be a plain function"),
        (MARK + "async def lazy():\n    'a'\n    yield\n", "must be a plain function"),
        (MARK + "def forgotten():\n    'a'\n    return False\n", "must assert what it shows and return nothing"),
        (MARK + "def lost():\n    'a'\nlost = 3\n", "must define lost at its top"),
        (
            "if True:\n    " + MARK + "    def a():\n        'a'\n" + MARK + "def a():\n    'a'\n",
            "must define a at its top",
        ),
        ("class A:\n    " + MARK + "    def a():\n        'a'\n", "must define a at its top"),
        (MARK + "def energy_law():\n    'a'\nconsistency = energy_law\n", "under its own name, got consistency"),
        ("async def a(): pass\nasync def a(): pass\n", "defines a name twice"),
        ("@check('run', 'b', proves=[39])\ndef a():\n    'a'\n", "proves must hold ids"),
        ("@check('run', 'b', given=[('C001-1', 'x')])\ndef a():\n    'a'\n", "given must be a mapping"),
    ],
)
def test_a_check_that_would_not_run_is_told(tmp_path, text, told):
    (tmp_path / "topic.nb.py").write_text("from gradflow.proofs import check\n" + text)
    assert told in next(iter(run_topic(tmp_path, "topic").values())).failure


def test_a_misspelt_table_hides_no_claims(tmp_path):
    (tmp_path / "a.toml").write_text("source = 'S'\n[[claims]]\nid = 'C1'\nplace = 'p'\nstatement = 's'\n")
    with pytest.raises(ValueError, match="has a source and tables"):
        read_claims(tmp_path)


def test_a_mutant_that_leaves_the_program_is_noticed():
    def leaves():
        raise SystemExit(0)  # it would end the command, with success

    module = import_module("gradflow.schemes.gradient_descent")
    assert not survives(module, next(mutants_of(module)), [leaves])
