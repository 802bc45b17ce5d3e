"""Multiples of the loss under which Figures 7 and 8 would both appear: what runs, what is asked of it, what is told."""

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments.ma2024.multiples import MA2024_MULTIPLES, judge, misses
from gradflow.experiments.ma2024.multiples_chart import CASES, STEPS, Case

TINY = {"epochs": 2, "n_inputs": 3, "width": 10, "n_samples": 40, "batch_size": 8, "draws": 2, "record_epochs": 1}
SMALL, MIDDLE, LARGE = STEPS


def silent(_):
    """Say nothing."""


def level(value, epochs=301):
    """Return a run that stays at a train error."""
    n = np.arange(epochs)
    history = {
        "step": n,
        "epoch": n,
        "time": n,
        "train_error": np.full(epochs, value),
        "auxiliary_ratio": np.ones(epochs),
    }
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, gf.Status.DONE, "", {}, epochs, 0.0, 0.0)


def diverged():
    run = level(1.0, epochs=3)
    return gf.Solution(run.theta, run.state, run.history, gf.Status.NONFINITE, "", {}, 3, 0.0, 0.0)


def curves(euler, sav, restarted):
    return {"explicit Euler": [euler], "SAV": [sav], "restarted SAV": [restarted]}


PAPERS = {
    SMALL: curves(level(1e-3), level(1.1e-3), level(1e-3)),
    MIDDLE: curves(level(1.8e-2), level(5e-4), level(5e-4)),
    LARGE: curves(diverged(), level(1e-3), level(1e-3)),
}


def test_the_papers_curves_would_match():
    assert max(misses(PAPERS, 300)) <= 1
    runs = {Case(1.0, "he"): PAPERS}
    assert [claim.holds for claim in judge(runs, 300)] == [True, True, True]
    assert [claim.holds for claim in judge(runs, 200)] == [None] * 3  # read before the epoch of the figures


@pytest.mark.parametrize(
    ("panel", "found", "wanted"),
    [
        (SMALL, curves(level(1e-2), level(1e-2), level(1e-2)), [False, True, False]),
        (SMALL, curves(level(1e-3), level(4e-3), level(1e-3)), [False, True, False]),
        (MIDDLE, curves(level(1e-3), level(5e-4), level(5e-4)), [True, False, False]),
        (LARGE, curves(level(1e-2), level(1e-3), level(9e-3)), [True, False, False]),
        (LARGE, curves(diverged(), diverged(), level(1e-3)), [True, False, False]),
    ],
)
def test_each_figure_asks_for_its_own(panel, found, wanted):
    panels = {**PAPERS, panel: found}
    assert [claim.holds for claim in judge({Case(1.0, "he"): panels}, 300)] == wanted


def test_a_near_miss_over_few_draws_denies_nothing():
    near = {**PAPERS, SMALL: curves(level(1.5e-3), level(1.5e-3), level(1.5e-3))}  # 1.15 beyond the reading error
    few = [claim.holds for claim in judge({Case(1.0, "he"): near}, 300)]
    assert few == [None, True, None]
    many = {panel: {label: 5 * several for label, several in of.items()} for panel, of in near.items()}
    assert [claim.holds for claim in judge({Case(1.0, "he"): many}, 300)] == [False, True, False]


def test_one_case_must_show_both():
    """Of two cases of which each shows one figure, none shows both."""
    seven = {**PAPERS, LARGE: curves(level(1e-3), level(1e-3), level(1e-3))}
    eight = {**PAPERS, SMALL: curves(level(1.0), level(1.0), level(1.0))}
    claims = judge({Case(1.0, "he"): seven, Case(3.0, "he"): eight}, 300)
    assert [claim.holds for claim in claims] == [True, True, False]


def test_every_case_runs_with_its_constants_and_is_taken_up_again(tmp_path):
    outcome = MA2024_MULTIPLES.reproduce(tmp_path, say=silent, **TINY)
    assert [row[0] for row in outcome.rows] == [str(case) for case in CASES]
    assert outcome.verdict.startswith("not decided: the runs are too short")
    kept = {path.stem: gf.Solution.load(path) for path in (tmp_path / "data").glob("*.npz")}
    assert len(kept) == len(CASES) * 9 * TINY["draws"]
    run = kept["he-10-dt0.4-1-1"]
    assert run.config["dt"] == pytest.approx(4.0)
    scheme = run.config["scheme"]
    assert (scheme["C"], scheme["stabilization"]) == pytest.approx((0.1, 0.4))
    assert kept["normal-10-dt0.4-1-1"].history["train_error"][0] != run.history["train_error"][0]
    assert (tmp_path / "ma2024-multiples.png").stat().st_size > 10_000
    assert MA2024_MULTIPLES.reproduce(tmp_path, say=silent, **TINY) == outcome
    thetas = {stem: one.theta.tobytes() for stem, one in kept.items()}
    assert {p.stem: gf.Solution.load(p).theta.tobytes() for p in (tmp_path / "data").glob("*.npz")} == thetas


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss", "mse"), ("init", "he"), ("time_scale", "autograd"), ("stabilization", 1.0), ("method", "both")],
)
def test_what_is_fixed_cannot_be_set(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"{name} is fixed here"):
        MA2024_MULTIPLES.reproduce(tmp_path / "out", say=silent, **{**TINY, name: value})
    assert not (tmp_path / "out").exists()
