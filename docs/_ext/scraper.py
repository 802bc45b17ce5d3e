"""Figures of the gallery: those that an example has made, by pyplot or as `matplotlib.figure.Figure` of its own."""

from matplotlib import pyplot
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def described(figure):
    """Return what the axes say, for readers who cannot see the figure."""
    panels = []
    for axes in figure.axes:
        says = f"{axes.get_ylabel() or 'values'} over {axes.get_xlabel() or 'the common axis'}"
        panels.append(f"{axes.get_title()}: {says}" if axes.get_title() else says)
    text = "; ".join(dict.fromkeys(" ".join(panel.split()) for panel in panels))
    return "".join(c for c in text if c not in '$\\{}"<>')


def figure_scraper(block, block_vars, gallery_conf):
    """Save the figures that are new since the last block; return the reStructuredText that shows them."""
    seen = block_vars.setdefault("gradflow_figures", [])  # the figures themselves: an id may come again
    made = [pyplot.figure(number) for number in pyplot.get_fignums()]
    made += [value for value in block_vars["example_globals"].values() if isinstance(value, Figure)]
    shown = ""
    for figure in dict.fromkeys(made):
        if not any(figure is one for one in seen):
            seen.append(figure)
            path = next(block_vars["image_path_iterator"])
            figure.savefig(path, dpi=140, facecolor="white", bbox_inches="tight")
            shown += figure_rst([path], gallery_conf["src_dir"], fig_titles=described(figure))
    pyplot.close("all")
    return shown


def _get_sg_image_scraper():
    """Return the scraper: sphinx-gallery asks a module that is named in its configuration."""
    return figure_scraper
