"""MathJax without a network.

MathJax 3.2.2's component ``tex-svg-full`` is a single file that draws formulas from glyphs it carries: nothing is
fetched, neither from a CDN nor from a font folder, so pages read from ``file://`` show the same. It comes with the
package sphinx-mathjax-offline, unchanged from MathJax's npm package. MathJax 4 loads its fonts from a CDN; KaTeX
would need node at build time.
"""

from importlib.metadata import files
from pathlib import Path

from sphinx.util.fileutil import copy_asset_file

FILE = "tex-svg-full.js"


def mathjax_file() -> Path:
    """Return where the installed package keeps the component."""
    for file in files("sphinx-mathjax-offline") or []:
        if file.name == FILE:
            return Path(file.locate())
    raise FileNotFoundError(f"sphinx-mathjax-offline has no {FILE}: install gradflow with the extra 'docs'")


def copy(app, error):
    """Put the component among the static files."""
    if error is None and app.builder.format == "html":
        copy_asset_file(mathjax_file(), Path(app.outdir) / "_static")


def setup(app):
    """Point Sphinx at the copy."""
    app.config.mathjax_path = FILE
    app.config.mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}
