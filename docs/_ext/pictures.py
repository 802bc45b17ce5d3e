"""Pictures of the stored results, drawn from their curves while the site is built, into the folder of the build."""

import os
import re
from pathlib import Path

from gradflow.experiments import REGISTRY
from gradflow.experiments.pictures import draw

PLACE = re.compile(r"(\{figure\} )results/([\w.+-]+)/([\w.+-]+)\.png")


def draw_results(app, docname, source):
    """Draw what the page of results shows, and have the page point to where it is."""

    def drawn(match):
        curves, name = Path(app.srcdir) / "results" / match[2] / "curves.npz", match[3]
        stem = Path(app.doctreedir) / "pictures" / name
        draw(REGISTRY[name], curves, stem)
        app.env.note_dependency(str(curves))
        return f"{match[1]}{Path(os.path.relpath(stem, app.srcdir)).as_posix()}.png"

    if docname == "reproduction":
        source[0] = PLACE.sub(drawn, source[0])


def setup(app):
    """Draw when the page is read."""
    app.connect("source-read", draw_results)
    return {"parallel_read_safe": True}
