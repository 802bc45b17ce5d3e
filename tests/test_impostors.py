"""Impostors: where another method runs in the place of one, a claim of the figure is lost, or its note says "cannot tell"."""

import re
from dataclasses import fields, replace
from math import log
from pathlib import Path

import pytest

import gradflow as gf
from gradflow.experiments import REGISTRY
from gradflow.experiments.claims import ALL
from gradflow.experiments.figure import Series, run_curves
from gradflow.experiments.judging import judge
from gradflow.experiments.traces import load_curves
from gradflow.schemes.protocols import AuxiliaryScheme
from toy_figures import silent

RESULTS = Path(gf.__file__).parents[1] / "docs" / "results"
FEW = {"draws": 1, "width": 50, "n_samples": 150, "batch_size": 64}
STEEP = {"targets": "raw", "inputs": 0.0}  # at this width the steps of Figures 3 and 5 are small otherwise
IMAGES = {"draws": 1, "width": 50, "n_train": 200, "n_test": 200, "batch_size": 64, "data": "fashion_subset"}
SIZES = {
    **{f"ma2024-fig{n}": FEW for n in (2, 4, 6, 7, 8, 10)},
    "ma2024-fig1": FEW | {"batch_size": 0, "record_epochs": 10, "epochs": 500},
    "ma2024-fig3": FEW | STEEP | {"loss": "relative"},
    "ma2024-fig5": FEW | STEEP | {"loss": "mse"},
    "ma2024-fig9": FEW | {"n_samples": 500, "epochs": 201} | {},
    "ma2024-fig11": IMAGES,
    "ma2024-fig12": {"draws": 1, "n_x": 12, "n_t": 10, "width": 20, "batch_size": 64, "record_epochs": 4},
    "empirical-exp1": FEW,
    "empirical-exp2": FEW | {"n_samples": 500, "batch_size": 8},
    "empirical-exp3": FEW | {"width": 200},  # more parameters than equations
    "empirical-exp4": IMAGES,
}
CANNOT_TELL = {
    "ma2024-fig1": ("dt / 7",),
    "ma2024-fig2": ("half", "Euler"),
    "ma2024-fig7": ("Euler",),
    "ma2024-fig8": ("half",),
    "ma2024-fig10": ("dt / 7",),
    "ma2024-fig11": ("Euler",),
    "ma2024-fig12": ("dt / 7", "half", "Euler"),
    "empirical-exp1": ("half",),
    "empirical-exp2": ("half",),
    "empirical-exp3": ("half", "dt / 7: ExpSAV"),
    "empirical-exp4": ("half",),
}
"""What the notes say: impostors that no claim finds out."""
LARGE = {
    "ma2024-fig9": ("dt / 7: adaptive SAV",),
    "ma2024-fig11": ("dt / 7",),
    "empirical-exp2": ("dt / 7: SGD and Adam", "dt / 7: ExpSAV"),
}
"""Impostors that are found out at full size only, by the published curves."""


def euler(curve):
    """Return what remains of a method without its auxiliary variable; of Adam without its averages."""
    scheme = getattr(curve.scheme, "base", curve.scheme)
    adaptive = isinstance(scheme, gf.AdaptiveSAV)
    return curve._replace(scheme=gf.Adam(reading=scheme.reading) if adaptive else gf.GradientDescent())


def halved(curve):
    """Return the method from half of its first auxiliary variable, if it carries one; ExpSAV has the logarithm."""
    kind = type(curve.scheme)
    if kind not in (gf.SAV, gf.AdaptiveSAV, gf.ExpSAV, gf.IEQ, gf.AdaptiveIEQ) or "restart" in curve.changes:
        return curve

    class Halved(kind):
        def init(self, problem, theta):
            state = super().init(problem, theta)
            return state._replace(aux=state.aux - log(2) if kind is gf.ExpSAV else state.aux / 2)

    return curve._replace(scheme=Halved(**{one.name: getattr(curve.scheme, one.name) for one in fields(kind)}))


def impostors(figure):
    """Yield impostors with their curves by place (panel, label); in the study, and in Figure 5, a method is a panel."""
    study, places = figure.name.startswith("empirical"), {}
    kinds = (AuxiliaryScheme, gf.Adam) if study else AuxiliaryScheme
    for title, curves in figure.panels.items():
        for label, curve in curves.items():
            if isinstance(curve.scheme, kinds):
                method = title if study or figure.name == "ma2024-fig5" else label
                places.setdefault(method, {})[title, label] = curve
    everything = {place: curve for curves in places.values() for place, curve in curves.items()}
    for kind, make in (("dt / 7", lambda c: euler(c)._replace(dt=c.dt / 7)), ("half", halved), ("Euler", euler)):
        for method, curves in {"all": everything}.items() if make is euler else places.items():
            made = {place: make(curve) for place, curve in curves.items()}
            yield f"{kind}: {method}", {place: curve for place, curve in made.items() if curve != curves[place]}


def runs_of(figure, task, cast, folder):
    """Return for everyone in the cast the traces by place; curves that are equal run once."""
    panels = {}
    for who, curves in cast.items():
        for (title, label), curve in curves.items():
            panels.setdefault(title, {})[label + ALL + who] = curve
    series = Series(folder, silent, False, lambda title, label: figure.wanted(title, label.partition(ALL)[0]))
    found = run_curves(replace(figure, panels=panels, claims=(), published={}), task, series)
    return {who: {(p, k): found[p][k + ALL + who] for p, k in curves} for who, curves in cast.items()}


def shown(figure, runs):
    """Return the claims that hold; durations are those of the machine."""
    panels = {title: {k: traces for (p, k), traces in runs.items() if p == title} for title, _ in runs}
    rows = [row for row in judge(figure, panels) if row["holds"] and "processor time" not in row["claim"]]
    return {(row["panel"], row["claim"]) for row in rows}


def unnoticed(figure, honest, others):
    """Return whether claims about some places hold and none is lost to the runs that take them."""
    holds, rest = shown(figure, honest), {place: traces for place, traces in honest.items() if place not in others}
    return holds != shown(figure, rest) and holds <= shown(figure, honest | others)


@pytest.mark.parametrize("name", SIZES)
def test_another_method_in_the_place_of_one_is_found_out(name, tmp_path):
    figure = REGISTRY[name]
    epochs = max(int(n) for claim in figure.claims for n in re.findall(r"epoch (\d+)", claim.text))
    task = figure.settings(**{"epochs": epochs, **SIZES[name]})
    own = {(title, label): curve for title, curves in figure.panels.items() for label, curve in curves.items()}
    made = runs_of(figure, task, {"": own, **dict(impostors(figure))}, tmp_path)
    honest = made.pop("")
    missed = [who for who, others in made.items() if unnoticed(figure, honest, others)]
    assert shown(figure, honest)
    known = CANNOT_TELL.get(name, ()) + LARGE.get(name, ())
    assert [who for who in missed if not who.startswith(known)] == []
    assert ("cannot tell" in figure.note) == (name in CANNOT_TELL)


@pytest.mark.parametrize("name", [name for name in SIZES if (RESULTS / name).exists()])
def test_explicit_euler_in_the_place_of_all_is_found_out_at_full_size(name):
    """Its runs are those of the figure itself, where it has them."""
    figure, panels = REGISTRY[name], load_curves(RESULTS / name / "curves.npz")
    others = {
        (title, label): panels[title][other]
        for (title, label), curve in dict(impostors(figure))["Euler: all"].items()
        for other, own in figure.panels[title].items()
        if own == curve
    }
    honest = {(title, label): traces for title, curves in panels.items() for label, traces in curves.items()}
    assert not unnoticed(figure, honest, others) or "Euler" in CANNOT_TELL.get(name, ())


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("drift", "vanilla", "restarted"), ("drift", "restarted", "vanilla"), ("energy", "vanilla", "restarted")],
)
def test_one_form_of_ieq_in_the_place_of_another_is_found_out_at_full_size(name, one, other):
    panels = load_curves(RESULTS / f"ieq-review-{name}" / "curves.npz")
    honest = {(title, label): traces for title, curves in panels.items() for label, traces in curves.items()}
    others = {(title, f"{one} IEQ"): curves[f"{other} IEQ"] for title, curves in panels.items()}
    assert not unnoticed(REGISTRY[f"ieq-review-{name}"], honest, others)
