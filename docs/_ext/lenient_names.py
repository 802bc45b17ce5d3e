"""Single backticks: a link where the text names a documented object, code otherwise.

Docstrings write `SAV` for an object and `theta` for an argument in the same way. A name is looked up exactly (alone, in the
class and the module around it, in ``gradflow``), and then, unless it is a bare name of a method or attribute, by its end, if
that is unambiguous.
"""

from docutils import nodes
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode

OF_CLASSES = ("method", "attribute", "property", "classmethod", "staticmethod")


class NameRole(XRefRole):
    """A reference that may lead nowhere."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        """Note where the text stands."""
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        refnode["lenient"] = True
        return title, target


def found(objects, node):
    """Return the one entry that a name stands for, or None."""
    name = node["reftarget"]
    around = [part for part in (node.get("py:module"), node.get("py:class")) if part]
    for scope in ("", ".".join(around), *around, "gradflow"):
        entry = objects.get(f"{scope}.{name}" if scope else name)
        if entry is not None:
            return entry
    ending = [
        entry
        for key, entry in objects.items()
        if key.endswith("." + name) and ("." in name or entry.objtype not in OF_CLASSES)
    ]
    places = {(entry.docname, entry.node_id) for entry in ending}
    return ending[0] if len(places) == 1 else None


def missing(app, env, node, contnode):
    """Link a name, or show it as code."""
    if not node.get("lenient"):
        return None
    code = nodes.literal(contnode.astext(), contnode.astext(), classes=["py"])
    entry = found(env.domains.python_domain.objects, node)
    if entry is None:
        return code
    here = node["refdoc"]
    return make_refnode(app.builder, here, entry.docname, entry.node_id, code, node["reftarget"])


def setup(app):
    """Make it the default role."""
    app.add_role_to_domain("py", "name", NameRole())
    app.connect("missing-reference", missing)
    app.config.default_role = "py:name"
    return {"parallel_read_safe": True}
