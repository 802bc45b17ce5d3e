r"""Displayed equations that number themselves with ``\tag``, as the module docstrings do.

Sphinx wraps rows in ``split``, where TeX allows no ``\tag``; such a display becomes an ``align*`` of its own.
"""

from docutils import nodes
from sphinx.transforms import SphinxTransform


class EquationTags(SphinxTransform):
    """Rewrite the displays that have a tag."""

    default_priority = 400

    def apply(self, **kwargs):
        """Rewrite them in place."""
        for display in list(self.document.findall(nodes.math_block)):
            text = display.astext()
            if r"\tag" in text and not display.get("no-wrap") and r"\begin{align" not in text:
                rewritten = rf"\begin{{align*}}{text.strip()}\end{{align*}}"
                display.replace_self(nodes.math_block(rewritten, rewritten, **{"no-wrap": True, "number": None}))


def setup(app):
    """Register the transform."""
    app.add_transform(EquationTags)
    return {"parallel_read_safe": True}
