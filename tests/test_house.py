"""The house: which room imports which, what the formulas may know of array libraries, what importing costs."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gradflow
from gradflow.energies.protocols import ProblemAbilities
from gradflow.schemes.protocols import SchemeAbilities

ROOT = Path(gradflow.__file__).parent
PURE = [
    *(ROOT / "schemes").glob("*.py"),
    ROOT / "energies" / "linear.py",
    ROOT / "kernels" / "reference.py",
]
LIBRARIES = {"numpy", "scipy", "cupy", "numba", "array_api_strict", "torch", "jax"}
ORDER = [  # a room may import from the rooms after it (and from itself)
    {"__main__"},
    {"cli"},
    {"experiments", "certificates"},
    {"proofs", "installation"},
    {"run"},
    {"plotting"},
    {"schemes"},
    {"models", "curvature", "backward_error"},
    {"energies"},
    {"kernels"},
    {"datasets"},
    {"refusals"},
    {"description"},
    {"namespace"},
    {"symbolic"},
    {"version"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path):
    """Yield the rooms of this package that a file names in an import statement."""
    package = ["gradflow", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for name in [base[1]] if len(base) > 1 else [alias.name for alias in node.names]:
                yield name if name in LEVEL else "__init__"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    here = room(path)
    if here == "__init__":
        return
    assert here in LEVEL, f"{here} has no place in the order of rooms"
    for there in imported_rooms(path):
        assert there in LEVEL, f"{path.name} imports {there}"
        assert there == here or LEVEL[there] > LEVEL[here], f"{path.name} ({here}) imports {there}"


def test_no_modules_import_each_other():
    """The graph of all imports, those within functions included, has no circle."""
    modules = {
        ".".join(("gradflow", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): p
        for p in ROOT.rglob("*.py")
    }
    graph = {name: set() for name in modules}
    for name, path in modules.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = ".".join(
                    package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
                )
                graph[name] |= {full if (full := f"{base}.{a.name}") in modules else base for a in node.names} - {name}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_the_root_has_few_modules():
    assert len(list(ROOT.glob("*.py"))) <= 8


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.name)
def test_formulas_name_no_array_library(path):
    """array-api-strict does not catch a stray ``np.`` call on its arrays; this does."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        assert not {name.partition(".")[0] for name in names} & LIBRARIES, path


ABILITIES = {name for declared in (SchemeAbilities, ProblemAbilities) for name in vars(declared) if name[0] != "_"} | {
    *(name for declared in (SchemeAbilities, ProblemAbilities) for name in declared.__annotations__),
    *("linearize", "evaluate", "step_at", "step_evaluated", "aux", "past", "xi0", "tau"),
}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_abilities_are_declared_not_discovered(path):
    """What a scheme or a problem can do is asked of the protocols, which say what holds where nothing is declared."""
    if path.name in ("protocols.py", "symbolic_steps.py") or room(path) in ("experiments", "symbolic", "proofs"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
            name = node.args[1]
            assert not (isinstance(name, ast.Constant) and name.value in ABILITIES), (
                path.name,
                node.lineno,
                name.value,
            )


def test_importing_loads_numpy_and_little_else():
    code = (
        "import sys, gradflow; heavy = {'numba', 'scipy', 'sympy', 'matplotlib', 'cupy', 'pooch', 'tqdm', 'typer'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == []


def test_public_names_exist_and_are_documented():
    for name in gradflow.__all__:
        value = getattr(gradflow, name)
        if name != "__version__":
            assert value.__doc__, name
    assert gradflow.plotting.plot_solution.__doc__
    assert "demo" in gradflow.experiments.REGISTRY
    with pytest.raises(AttributeError, match="no attribute 'SAW'"):
        gradflow.SAW  # noqa: B018
