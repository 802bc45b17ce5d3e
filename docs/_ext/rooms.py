"""``{room} gradflow.schemes.sav``: a module's text, and the names listed below it.

The text is shown once on the site. Where another page has it (``automodule``), the room says where.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from numpydoc.xref import DEFAULT_LINKS
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import TypeAliasForwardRef, stringify_signature
from sphinx.util.inspect import signature as signature_of
from sphinx.util.nodes import make_refnode

from gradflow import AuxiliaryScheme, LeastSquares, LinearPart, Problem, SplitEnergy
from gradflow.schemes import REGISTRY

DOCS = Path(__file__).resolve().parent.parent
ELSEWHERE = re.compile(r"^(?:\.\. |```\{|:::\{)automodule(?:::|\}) *(gradflow[\w.]*)", re.M)
STANDARD = {
    **dict.fromkeys(("int", "float", "bool", "object", "type"), "functions"),
    **dict.fromkeys(("str", "list", "dict", "tuple"), "stdtypes"),
    "None": "constants",
}
SHORT = {
    "Any": "typing.Any",
    "Fraction": "fractions.Fraction",
    "Literal": "typing.Literal",
    "Path": "pathlib.Path",
    "PathLike": "os.PathLike",
    "NDArray": "numpy.typing.NDArray",
    **{name: f"collections.abc.{name}" for name in ("Callable", "Iterable", "Iterator", "Mapping", "Sequence")},
}
LONG = (
    (r"np\.", "numpy."),
    (r"sp\.Basic", "sympy.core.basic.Basic"),
    (r"sp\.Expr", "sympy.core.expr.Expr"),
    (r"sp\.Symbol", "sympy.core.symbol.Symbol"),
    (r"numpy\.random\._generator\.", "numpy.random."),
)
SITES = (
    (
        r"(typing|collections\.abc|pathlib|types|enum|os|contextlib|fractions|ast|random|re)\.\w+",
        "https://docs.python.org/3/library/{module}.html#{name}",
    ),
    (r"numpy\.random\.\w+", "https://numpy.org/doc/stable/reference/random/generator.html#{name}"),
    (r"numpy\.typing\.\w+", "https://numpy.org/doc/stable/reference/typing.html#{name}"),
    (r"numpy\.(float64|int64|uint8|floating)", "https://numpy.org/doc/stable/reference/arrays.scalars.html#{name}"),
    (r"numpy\.\w+", "https://numpy.org/doc/stable/reference/generated/{name}.html"),
    (r"matplotlib\.figure\.\w+", "https://matplotlib.org/stable/api/figure_api.html#{name}"),
    (r"matplotlib\.(axes|lines)\.\w+", "https://matplotlib.org/stable/api/_as_gen/{module}.{name}.html"),
    (r"sympy\.core\.\w+\.\w+", "https://docs.sympy.org/latest/modules/core.html#{name}"),
    (r"sympy\.polys\.rings\.\w+", "https://docs.sympy.org/latest/modules/polys/domainsref.html#{name}"),
)


def documented_elsewhere():
    """Return module -> page for the modules whose text stands on a page outside the reference."""
    pages = [*DOCS.glob("theory/*.md"), *DOCS.glob("guide/*.md")]
    return {name: page.stem for page in pages for name in ELSEWHERE.findall(page.read_text(encoding="utf-8"))}


def alias(module, name):
    """Yield the entry of a type alias: its source and its docstring."""
    tree = ast.parse(inspect.getsource(module))
    (value,) = (n.value for n in tree.body if isinstance(n, ast.AnnAssign) and getattr(n.target, "id", "") == name)
    text = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()["", name]
    yield from (f".. py:type:: {module.__name__}.{name}", f"   :canonical: {ast.unparse(value)}", "")
    yield from (f"   {line}" for line in text)


class Room(SphinxDirective):
    """A module and a choice of its names."""

    has_content = True
    required_arguments = 1
    option_spec = {"shadowed": directives.flag}  # a function has the module's name, and the entry

    def lines(self):
        """Yield reStructuredText."""
        name = self.arguments[0]
        module = import_module(name)
        if name in documented_elsewhere():
            yield f"Text and equations: :py:mod:`{name}`."
            yield from ("", f".. currentmodule:: {name}", "")
        else:
            yield from (
                f".. automodule:: {name}",
                "   :no-members:",
                *["   :no-index:"] * ("shadowed" in self.options),
                "",
            )
        for entry in " ".join(self.content).split():
            value = getattr(module, entry)
            if "TypeAlias" in str(inspect.get_annotations(module).get(entry)):
                yield from alias(module, entry)
            elif inspect.isclass(value):
                yield from (f".. autoclass:: {name}.{entry}", "   :members:", "   :special-members: __call__", "")
            elif inspect.isfunction(value):
                yield from (f".. autofunction:: {name}.{entry}", "")
            else:
                plain = isinstance(value, (str, float, int)) or (isinstance(value, tuple) and len(repr(value)) < 120)
                yield from (f".. autodata:: {name}.{entry}", *([] if plain else ["   :no-value:"]), "")

    def run(self):
        """Parse them."""
        text = ["```{eval-rst}", *self.lines(), "```"]
        self.content = StringList(text, source=self.get_source_info()[0])
        return self.parse_content_to_nodes(allow_section_headings=True)


def home_of(name):
    """Return the name where it is defined of what another module hands on, as `gradflow.schemes.SAV`; else None."""
    owner, _, last = name.rpartition(".")
    try:
        value = getattr(import_module(owner), last)
        return f"{value.__module__}.{value.__qualname__}"
    except (ImportError, AttributeError, ValueError):
        return None


def outside(app, env, node, contnode):
    """Link our aliases by their short names, what modules hand on, and names of other libraries to their sites.

    No inventory is read: the build needs no network.
    """
    if node.get("refdomain") != "py" or node.get("lenient"):
        return None
    name = node["reftarget"]
    objects = env.domains.python_domain.objects
    entry = objects.get(app.config.autodoc_type_aliases.get(name)) or objects.get(home_of(name))
    if entry is not None:
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)
    name = SHORT.get(name, name)
    for short, long in LONG:
        name = re.sub(rf"^{short}", long, name)
    if name in STANDARD:
        url = f"https://docs.python.org/3/library/{STANDARD[name]}.html#{name}"
    else:
        form = next((form for pattern, form in SITES if re.fullmatch(pattern, name)), None)
        if form is None:
            return None
        url = form.format(name=name, module=name.rpartition(".")[0])
    return nodes.reference("", "", contnode, internal=False, refuri=url)


SHADOWED = ("gradflow.datasets.mnist", "gradflow.schemes.state")  # no entry of their own, or nothing more to say


def own_signature(app, what, name, value, options, signature, returns):
    """Give protocols no constructor, and a class whose ``__new__`` passes all on the signature of its ``__init__``."""
    if what != "class" or signature is None:
        return None
    if getattr(value, "_is_protocol", False):
        return "", returns
    if "__new__" in vars(value) and "__init__" in vars(value):
        found = signature_of(value.__init__, bound_method=True, type_aliases=app.config.autodoc_type_aliases)
        return stringify_signature(found, show_return_annotation=False), returns
    return None


def where(app, what, name, value, options, lines):
    """Name the module of what is documented under a shorter name, and the protocol that has the methods' arguments."""
    home = getattr(value, "__module__", "")
    if what not in ("class", "function") or name.rpartition(".")[0] == home or home in SHADOWED:
        return
    text = f"From :py:mod:`{home}`"
    if value in REGISTRY.values():
        kind = "AuxiliaryScheme" if issubclass(value, AuxiliaryScheme) else "Scheme"
        text += f", which has the equations, what holds, and the source. Arguments of the methods: :py:class:`~gradflow.{kind}`"
    elif inspect.isclass(value) and not getattr(value, "_is_protocol", False):
        if issubclass(value, SplitEnergy):
            kinds = [
                Problem,
                *[LeastSquares] * hasattr(value, "linearize"),
                *[SplitEnergy] * (value is not SplitEnergy),
            ]
        else:
            kinds = [LinearPart] if hasattr(value, "solve_shifted") else []
        if kinds:
            text += ". Arguments of the methods: " + ", ".join(
                f":py:class:`~gradflow.{kind.__name__}`" for kind in kinds
            )
    first = next((k for k, line in enumerate(lines) if line.strip()), len(lines))
    at = next((k for k in range(first, len(lines)) if not lines[k].strip()), len(lines))
    lines[at:at] = ["", f"{text}.", ""]


def setup(app):
    """Register them."""
    DEFAULT_LINKS.clear()  # of numpydoc, into inventories that this build does not read
    TypeAliasForwardRef.__repr__ = lambda self: self.name  # else an alias within another type is shown as an object
    app.add_directive("room", Room)
    app.connect("missing-reference", outside)
    app.connect("autodoc-process-signature", own_signature)
    app.connect("autodoc-process-docstring", where)
    return {"parallel_read_safe": True}
