"""The build warns of docstrings that are not complete, by the checks of numpydoc with these exceptions.

Never asked for: SA01, EX01, ES01 (see also, examples, an extended summary), where there is nothing to say.

Waived, with the reason:

* RT01, YD01, RT03 where the summary begins with "Return", "Yield" or names what it reads: it states the value and its shape;
* PR01 to PR10 and RT01 of a method that implements a protocol: the protocol has them, once;
* PR01 of NamedTuples and dataclasses whose fields have a docstring each, below the field: autodoc shows those;
* PR01, PR02 of protocols, enumerations and classes with another's constructor (``__new__`` that passes all on): there is no
  signature of their own to document;
* GL08 of the functions that `gradflow.symbolic` makes by another one, such as ``sqrt``: they are the array API standard's.
"""

import dataclasses
import enum
import importlib
import inspect
import pkgutil

from numpydoc.validate import validate
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import gradflow

LOGGER = logging.getLogger(__name__)
SKIPPED_MODULES = {"gradflow.__main__", "gradflow.kernels.cupy", "gradflow.kernels.numba"}
NEVER = {"SA01", "EX01", "ES01"}
OF_A_CONTRACT = {
    *("inner", "energy", "energy_and_gradient", "hvp", "linearize", "describe"),
    *("nonlinear_energy", "nonlinear_energy_and_gradient", "nonlinear_hvp"),
    *("residual", "jvp", "vjp", "gram", "jacobian", "scalar", "apply", "solve_shifted"),
    *("init", "step", "auxiliary", "modified_energy", "dissipation", "energy_terms", "relax", "admissible"),
}
CONTRACTS = {
    *("gradflow.problem.Problem", "gradflow.problem.LeastSquares", "gradflow.problem.Linearization"),
    *("gradflow.problem.SplitEnergy", "gradflow.linear.LinearPart"),
    *("gradflow.schemes.protocols.Scheme", "gradflow.schemes.protocols.AuxiliaryScheme"),
}


def modules():
    """Yield the modules of the package, and the package."""
    yield gradflow
    for found in pkgutil.walk_packages(gradflow.__path__, "gradflow."):
        if found.name not in SKIPPED_MODULES:
            yield importlib.import_module(found.name)


def public(module):
    """Yield the name and the object of what a module defines and exports, and of the public methods of such classes."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if getattr(value, "__module__", None) != module.__name__ or not (inspect.isclass(value) or callable(value)):
            continue
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            for key, member in vars(value).items():
                plain = inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod, property))
                if plain and not key.startswith("_"):
                    yield f"{module.__name__}.{name}.{key}", member


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


def waived(name, value, summary):
    """Return the codes that do not count for this object."""
    codes = set(NEVER)
    if summary.startswith("Return"):
        codes |= {"RT01", "RT03"}
    if summary.startswith("Yield"):
        codes |= {"YD01"}
    owner, _, last = name.rpartition(".")
    if (
        owner not in CONTRACTS
        and last in OF_A_CONTRACT
        and not inspect.isclass(value)
        and owner.rpartition(".")[2][:1].isupper()
    ):
        codes |= {"PR01", "PR02", "RT01"}
    if inspect.isclass(value) and (fields_are_documented(value) or not constructs(value)):
        codes |= {"PR01", "PR02"}
    if "<locals>" in getattr(value, "__qualname__", ""):
        codes |= {"GL08"}
    return codes


def faults():
    """Yield (name, code, message) of every fault."""
    for module in modules():
        for name, value in public(module):
            found = validate(name)
            doc = inspect.getdoc(value) or ""
            codes = waived(name, value, doc.lstrip())
            for code, message in found["errors"]:
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
