"""Figures of the gallery: those that an example has made, by pyplot or as `matplotlib.figure.Figure` of its own."""

from matplotlib import pyplot
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def figure_scraper(block, block_vars, gallery_conf):
    """Save the figures that are new since the last block; return the reStructuredText that shows them."""
    seen = block_vars.setdefault("gradflow_figures", set())
    made = [pyplot.figure(number) for number in pyplot.get_fignums()]
    made += [value for value in block_vars["example_globals"].values() if isinstance(value, Figure)]
    paths = []
    for figure in dict.fromkeys(made):
        if id(figure) not in seen:
            seen.add(id(figure))
            path = next(block_vars["image_path_iterator"])
            figure.savefig(path, dpi=140, facecolor="white", bbox_inches="tight")
            paths.append(path)
    pyplot.close("all")
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper():
    """Return the scraper: sphinx-gallery asks a module that is named in its configuration."""
    return figure_scraper
