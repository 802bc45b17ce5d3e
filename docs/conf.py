"""Sphinx configuration: ``sphinx-build -W -n docs docs/_build`` needs no network and gives no warning."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

# One thread for linear algebra: the gallery compares costs, and the builds that run it share their machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Kernels read no profile of the user's, and their own log is of no use to the reader of a build.
profile = tempfile.mkdtemp(prefix="gradflow-ipython-")
atexit.register(shutil.rmtree, profile, ignore_errors=True)
os.environ["IPYTHONDIR"] = profile
(Path(profile) / "profile_default").mkdir()
(Path(profile) / "profile_default" / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")
logging.getLogger("traitlets").setLevel(logging.WARNING)

project = "gradflow"
author = "The gradflow developers"
copyright = "2026, the gradflow developers"
version = release = version_of("gradflow")

smartquotes = False  # texts are shown as they are: `--set` begins with two hyphens

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "bundled_mathjax",
    "docstrings",
    "equation_tags",
    "lenient_names",
    "pictures",
    "proved",
    "sources",
    "rooms",
    "support",
]
templates_path = ["_templates"]
exclude_patterns = [
    "jupyter_execute",
    "_build",
    "_templates",
    "examples",
    "gallery/*.ipynb",
    "**.ipynb_checkpoints",
]
nitpicky = True
nitpick_ignore = [("py:class", "gradflow.refusals.Kind")]  # a type variable

# -- Text --------------------------------------------------------------------------------------------------------
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
nb_custom_formats = {".nb.py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # which has tables
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# -- API ---------------------------------------------------------------------------------------------------------
autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 150  # of the qualified names; the short ones, which are shown, take half
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # but for the names below
numpydoc_xref_aliases = {
    **{name: f"gradflow.{name}" for name in ("AuxiliaryScheme", "LinearPart", "Linearization", "Problem", "Scheme")},
    **{name: f"gradflow.{name}" for name in ("Solution", "TwoLayerNet")},
    **{name: f"gradflow.datasets.{name}" for name in ("Dataset", "LabelledImages")},
    **{name: f"gradflow.symbolic.vectors.{name}" for name in ("Map", "SelfAdjoint", "Space", "Vector")},
    "Activation": "gradflow.kernels.activation.Activation",
    "Blend": "gradflow.schemes.relaxation.Blend",
    "Check": "gradflow.proofs.checks.Check",
    "Claim": "gradflow.proofs.ledger.Claim",
    "Decision": "gradflow.proofs.ledger.Decision",
    "EnergyTerms": "gradflow.schemes.protocols.EnergyTerms",
    "Forward": "gradflow.models.two_layer.Forward",
    "ImageSet": "gradflow.datasets.image_files.ImageSet",
    "Line": "gradflow.proofs.verify.Line",
    "Mutant": "gradflow.proofs.mutants.Mutant",
    "Published": "gradflow.experiments.published.Published",
    "Report": "gradflow.experiments.judging.Report",
    "Series": "gradflow.experiments.figure.Series",
    "Trace": "gradflow.experiments.traces.Trace",
    "ScaledResidual": "gradflow.models.losses.ScaledResidual",
}
# Annotations are strings: aliases keep their names, and names that are imported for typing only are found.
autodoc_type_aliases = {
    **{name: f"gradflow.namespace.{name}" for name in ("Array", "Namespace")},
    **{name: f"gradflow.run.history.{name}" for name in ("Quantity", "Record")},
    **{name: f"gradflow.refusals.{name}" for name in ("Floats", "Seed")},
    **{name: f"gradflow.backward_error.trees.{name}" for name in ("Forest", "Tree")},
    "Coefficient": "gradflow.backward_error.exact_numbers.Coefficient",
    "Scalar": "gradflow.energies.linear.Scalar",
    "EnergyLaw": "gradflow.schemes.relaxation.EnergyLaw",
    "Curves": "gradflow.experiments.claims.Curves",
    "Panels": "gradflow.experiments.traces.Panels",
    "Values": "numpy.typing.NDArray",
    "Runs": "gradflow.plotting.Runs",
    "Loss": "gradflow.models.losses.Loss",
    "Kernels": "gradflow.kernels.Kernels",
    "Law": "gradflow.datasets.synthetic.Law",
    "Statistics": "gradflow.datasets.synthetic.Statistics",
    "Atom": "gradflow.symbolic.vectors.Atom",
    "Activation": "gradflow.kernels.activation.Activation",
    "Axes": "matplotlib.axes.Axes",
    "Picture": "matplotlib.figure.Figure",
    "Line2D": "matplotlib.lines.Line2D",
    "DTypeLike": "numpy.typing.DTypeLike",
    "ArrayLike": "numpy.typing.ArrayLike",
}

# -- Gallery -----------------------------------------------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "image_scrapers": ("scraper",),
    "download_all_examples": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "write_computation_times": False,
    "show_signature": False,
    "capture_repr": ("_repr_html_",),
}

# -- HTML --------------------------------------------------------------------------------------------------------
html_theme = "furo"
html_title = "gradflow"
html_static_path = ["_static"]
html_css_files = ["gradflow.css"]
html_js_files = ["claims.js", "figures.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it is fetched, which pages read from file:// may not
html_theme_options = {"navigation_with_keys": True}
