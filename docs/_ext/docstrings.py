"""The build warns of docstrings that are not complete, by the checks of numpydoc and two of its own.

* GF01: an array among the parameters, or returned, without a shape ("0-d", "(P,)", "shape ...");
* GF02: a ``raise`` in the body of which neither the docstring nor, "at `init`", that of the class says anything.

Never asked for: SA01, EX01, ES01 (see also, examples, an extended summary), where there is nothing to say.

Waived, with the reason:

* RT01, YD01, RT03 where the summary begins with "Return" or "Yield": it states the value and its shape;
* PR01, PR02 and RT01 of a method that a protocol has, in a class that satisfies the protocol, and of what a scheme or a
  problem declares: the protocol has them, once, and GF01 reads the shapes there. ``hvp`` is not asked of the class;
* PR01 where every argument is described elsewhere, and GF01 reads the shape there: in the table of symbols of the
  module, with the columns "code" and "shape"; in the summary, which names it, if there is one argument only;
* PR01 of the functions of `gradflow.symbolic` that NumPy has too: they are the array API standard's;
* PR01 of NamedTuples and dataclasses whose fields have a docstring each, below the field: autodoc shows those;
* PR01, PR02 of protocols, enumerations and classes with another's constructor (``__new__`` that passes all on): there is no
  signature of their own to document;
* GL08 of the functions that `gradflow.symbolic` makes by another one, such as ``sqrt``: they are the array API standard's.
"""

import ast
import dataclasses
import enum
import importlib
import inspect
import itertools
import pkgutil
import re
import textwrap

import numpy as np
from numpydoc.docscrape import FunctionDoc
from numpydoc.validate import validate
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import gradflow
from gradflow import AuxiliaryScheme, LeastSquares, Linearization, LinearPart, Problem, Scheme, SplitEnergy
from gradflow.curvature.adaptive_mixture import Learning
from gradflow.curvature.descent import Searching
from gradflow.curvature.globalization import Damping, Direct, Globalization, Judging
from gradflow.curvature.metric import Metric
from gradflow.curvature.mixture import Weighting
from gradflow.curvature.model import Curvature, Model, Remembering
from gradflow.curvature.preconditioners import Preconditioner
from gradflow.energies.protocols import Batched, OutputLinearization, OutputLoss
from gradflow.run.steps import Controller
from gradflow.schemes.protocols import Chaining, Dissipating, Evaluating, SchemeAbilities

LOGGER = logging.getLogger(__name__)
SKIPPED_MODULES = {"gradflow.__main__", "gradflow.kernels.cupy", "gradflow.kernels.numba"}
NEVER = {"SA01", "EX01", "ES01"}
CONTRACTS = (Problem, LeastSquares, Linearization, SplitEnergy, LinearPart, Scheme, AuxiliaryScheme)
CONTRACTS += (
    Dissipating,
    Evaluating,
    Chaining,
    Controller,
    Curvature,
    Globalization,
    Damping,
    Direct,
    Judging,
    Searching,
    Metric,
    Model,
)
CONTRACTS += (Remembering, Weighting, Learning, Preconditioner)
CONTRACTS += (OutputLinearization, OutputLoss)
DECLARED = {SchemeAbilities: ("init", "step"), Batched: ("energy", "energy_and_gradient")}
"""Of these one member is enough, in a class that has the others."""
OPTIONAL = {"hvp", "nonlinear_hvp"}  # schemes without second derivatives do not ask for them
TABLE = re.compile(r"^(=[= ]+)\n(.*\bcode\b.*\bshape\b.*)\n\1\n((?:.*\n)+?)\1$", re.M)
ARRAY = re.compile(r"\b(?:Array|NDArray|Floats)\b")
SHAPE = re.compile(r"\b0-d\b|\bshapes?\b|,\)|\((?:[A-Z0-9.][^(),]*|n_\w+|m), *[^()]+\)")


def modules():
    """Yield the modules of the package, and the package."""
    yield gradflow
    for found in pkgutil.walk_packages(gradflow.__path__, "gradflow."):
        if found.name not in SKIPPED_MODULES:
            yield importlib.import_module(found.name)


def public(module):
    """Yield name, object and class of what a module defines and exports, and of the public methods of its classes."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", None) != module.__name__ or not (inspect.isclass(value) or callable(value)):
            continue
        yield f"{module.__name__}.{name}", value, None
        if inspect.isclass(value):
            for key, member in vars(value).items():
                plain = inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod, property))
                if plain and (key == "__call__" or not key.startswith("_")):
                    yield f"{module.__name__}.{name}.{key}", member, value


def contracts(kind, method):
    """Yield the protocols that have this method and that a class satisfies; not the class itself."""
    for contract in CONTRACTS:
        members = {key for key in dir(contract) if not key.startswith("_")}
        if contract is not kind and method in members and all(hasattr(kind, key) for key in members - OPTIONAL):
            yield contract
    for abilities, others in DECLARED.items():
        if method in vars(abilities) and kind is not abilities and all(hasattr(kind, key) for key in others):
            yield abilities


def texts_of(value, kind, method):
    """Return the docstring, and those of the same method in the protocols that the class satisfies."""
    protocols = () if kind is None else contracts(kind, method)
    return [inspect.getdoc(v) or "" for v in (value, *(getattr(contract, method) for contract in protocols))]


def of_the_table(module):
    """Return code -> shape of the table of symbols in a module's docstring."""
    shapes = {}
    for border, head, body in TABLE.findall(inspect.getdoc(module) or ""):
        starts = [m.start() for m in re.finditer(r"=+", border)] + [None]
        columns = {head[a:b].strip(): slice(a, b) for a, b in itertools.pairwise(starts)}
        for row in body.splitlines():
            names = [name.partition("[")[0] for name in row[columns["code"]].strip().split(", ")]  # S of S[j]
            shapes |= dict.fromkeys(names, row[columns["shape"]].strip())
    return shapes


def described_elsewhere(function, texts):
    """Return argument -> where it is described, of those arguments that the table or the summary describes."""
    arguments = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    summaries = " ".join(text.partition("\n\n")[0] for text in texts)
    told = {name: text for name, text in of_the_table(inspect.getmodule(function)).items() if name in arguments}
    if len(arguments) == 1 and re.search(rf"\b{arguments[0]}\b", summaries):
        told.setdefault(arguments[0], summaries)
    return told


def arguments_are_described(function, text):
    """Return whether every argument of a function is described, in its docstring or elsewhere."""
    listed = {name.strip(" *") for p in FunctionDoc(function, doc=text)["Parameters"] for name in p.name.split(",")}
    arguments = set(inspect.signature(function).parameters) - {"self", "cls"}
    return arguments <= listed | set(described_elsewhere(function, [text]))


def fields_are_documented(value):
    """Return whether every field of a NamedTuple or dataclass has a docstring of its own."""
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value)]
    else:
        fields = getattr(value, "_fields", ())
    documented = {
        field
        for kind in value.__mro__
        if kind.__module__.startswith("gradflow")
        for owner, field in ModuleAnalyzer.for_module(kind.__module__).find_attr_docs()
        if owner == kind.__name__
    }
    return bool(fields) and documented.issuperset(fields)


def constructs(value):
    """Return whether a class has a constructor of its own."""
    if getattr(value, "_is_protocol", False) or issubclass(value, enum.Enum):
        return False
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        return True
    return "__init__" in vars(value) and "__new__" not in vars(value)


def waived(name, value, kind, summary):
    """Return the codes that do not count for this object."""
    codes = set(NEVER)
    if summary.startswith("Return"):
        codes |= {"RT01", "RT03"}
    if summary.startswith("Yield"):
        codes |= {"YD01"}
    if kind is not None and any(contracts(kind, name.rpartition(".")[2])):
        codes |= {"PR01", "PR02", "RT01"}
    function = None if inspect.isclass(value) else function_of(value)
    if function is not None:
        standard = function.__module__ == "gradflow.symbolic" and hasattr(np, function.__name__)
        if standard or arguments_are_described(function, inspect.getdoc(value) or ""):
            codes |= {"PR01"}
    if inspect.isclass(value) and (fields_are_documented(value) or not constructs(value)):
        codes |= {"PR01", "PR02"}
    if "<locals>" in getattr(value, "__qualname__", ""):
        codes |= {"GL08"}
    return codes


def function_of(value):
    """Return the function behind a method, a property or the constructor of a class; None where there is none."""
    if inspect.isclass(value):
        value = vars(value).get("__post_init__", vars(value).get("__init__"))
    value = value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
    ours = inspect.isfunction(value) and value.__module__.startswith("gradflow")
    return value if ours and value.__code__.co_filename != "<string>" else None  # what `dataclass` has written


def without_shape(function, texts):
    """Yield what of a function is an array of a shape that no docstring tells."""
    described, returned = described_elsewhere(function, texts), ""
    for text in texts:
        doc = FunctionDoc(function, doc=text)
        described |= {name.strip(" *"): f"{p.type} {p.desc}" for p in doc["Parameters"] for name in p.name.split(",")}
        returned += " ".join(map(str, (*doc["Summary"], *doc["Extended Summary"], *doc["Returns"], *doc["Yields"])))
    for name, annotation in inspect.get_annotations(function).items():
        said = returned if name == "return" else described.get(name, "")
        if ARRAY.search(str(annotation)) and not SHAPE.search(said):
            yield name


def raises(node):
    """Return whether a function has a ``raise`` of its own, not in a function within."""
    inner = (ast.FunctionDef, ast.Lambda)
    return any(
        isinstance(child, ast.Raise) or (not isinstance(child, inner) and raises(child))
        for child in ast.iter_child_nodes(node)
    )


def own_faults(name, value, kind):
    """Yield (code, message) of what numpydoc does not check."""
    function = function_of(value)
    if function is None or "<locals>" in function.__qualname__:
        return
    texts = texts_of(value, kind, name.rpartition(".")[2])
    for what in without_shape(function, texts):
        yield "GF01", f"The shape of an array is not said: {what}"
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    of_the_class = (inspect.getdoc(kind) or "").partition("Raises\n---")[2] if kind is not None else ""
    said = re.search(r"\b[Rr]aises?\b", texts[0]) or f"at `{function.__name__}`" in of_the_class
    if raises(node) and not said:
        yield "GF02", "It does not say what it raises"


def faults():
    """Yield (name, code, message) of every fault."""
    for module in modules():
        for name, value, kind in public(module):
            codes = waived(name, value, kind, (inspect.getdoc(value) or "").lstrip())
            for code, message in (*validate(name)["errors"], *own_faults(name, value, kind)):
                if code not in codes:
                    yield name, code, message


def check(app):
    """Warn of each."""
    for name, code, message in faults():
        LOGGER.warning("docstring of %s: %s %s", name, code, message, type="docstrings", subtype=code)


def setup(app):
    """Check before anything is read."""
    app.connect("builder-inited", check)
    return {"parallel_read_safe": True}
