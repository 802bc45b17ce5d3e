"""Single backticks: a link where the text names a documented object, code otherwise.

Docstrings write `SAV` for an object and `theta` for an argument in the same way.
"""

from docutils import nodes
from sphinx.roles import XRefRole


class NameRole(XRefRole):
    """A reference that may lead nowhere."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        """Search as a reference with a leading dot does: by the end of the name."""
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        refnode["lenient"] = True
        if "(" in target or " " in target:
            target = "no object has this name"
        if not target.startswith("gradflow"):
            refnode["refspecific"] = True
        return title, target


def missing(app, env, node, contnode):
    """Show a name that leads nowhere as code."""
    if node.get("lenient"):
        return nodes.literal(contnode.astext(), contnode.astext())
    return None


def setup(app):
    """Make it the default role."""
    app.add_role_to_domain("py", "name", NameRole())
    app.connect("missing-reference", missing)
    app.config.default_role = "py:name"
    return {"parallel_read_safe": True}
