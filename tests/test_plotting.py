"""The figures: right axes, right scales, the runs that did not end well marked, nothing left behind."""

import sys
from dataclasses import replace

import numpy as np
import pytest

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES, plot_histories, plot_rows, plot_solution, save_figure
from gradflow.plotting.spreads import drawn_values, finite_median, spread_table


def made(label="SAV", status=gf.Status.DONE, length=21, **history):
    """Return a solution with a given history."""
    n = np.arange(length)
    history = {"step": n, "epoch": n / 10, "time": 0.1 * n, **history}
    config = {"scheme": {"type": label}, "batch_size": 5}
    state = gf.FlowState(np.zeros(2))
    return gf.Solution(state.theta, state, history, status, "", config, length - 1, 0.0, 0.0)


def decaying(rate=1.0, length=21, **kwargs):
    return made(length=length, energy=10.0 ** (-rate * np.arange(length)), **kwargs)


def curves(axes):
    """Return the lines of an axes that are curves (no markers)."""
    return [line for line in axes.lines if line.get_marker() in ("None", None)]


def test_axes_are_labelled_and_decades_logarithmic():
    run = made(energy=10.0 ** -np.arange(21.0), auxiliary_ratio=np.linspace(1, 1e-9, 21), my_own=np.linspace(1, 2, 21))
    energy, ratio, own = plot_solution(run).axes
    assert energy.get_yscale() == "log"
    assert ratio.get_yscale() == "linear"  # its distance from 1 is what matters
    assert own.get_yscale() == "linear"
    assert [a.get_xlabel() for a in (energy, ratio, own)] == ["epoch"] * 3
    assert [a.get_ylabel() for a in (energy, ratio, own)] == ["energy $E$", r"$r\,/\sqrt{E + C}$", "my own"]


def test_full_batch_runs_are_drawn_over_steps():
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    run = gf.solve(problem, gf.SAV(), np.ones(3), dt=0.5, steps=20)
    (axes,) = run.plot("energy").axes
    assert axes.get_xlabel() == "step"
    np.testing.assert_array_equal(curves(axes)[0].get_ydata(), run.history["energy"])
    assert len(run.plot().axes) == 2  # energy, modified energy


def test_values_that_change_sign_stay_linear_and_residuals_are_drawn_by_size():
    figure = plot_solution(made(modified_energy=np.linspace(5, -1e-9, 21), identity_residual=(-10.0) ** -np.arange(21)))
    modified, residual = figure.axes
    assert modified.get_yscale() == "linear"
    assert residual.get_yscale() == "log"
    assert curves(residual)[0].get_ydata().min() > 0


def test_runs_are_compared_in_colour_and_dashes():
    figure = plot_histories({"one": decaying(), "two": decaying(0.5)}, "energy", title="both")
    (axes,) = figure.axes
    assert [line.get_color() for line in curves(axes)] == list(COLOURS[:2])
    assert len(set(DASHES)) == len(COLOURS) == len(set(COLOURS))
    assert [text.get_text() for text in figure.legends[0].texts] == ["one", "two"]
    assert figure.get_suptitle() == "both"


def test_several_runs_of_one_kind_are_their_median_and_range():
    figure = plot_histories({"three": [decaying(1.0), decaying(0.5), decaying(0.8, length=11)]}, "energy")
    (axes,) = figure.axes
    (line,) = curves(axes)
    np.testing.assert_allclose(line.get_ydata()[:11], 10.0 ** (-0.8 * np.arange(11)))
    assert len(line.get_ydata()) == 21  # the longest
    assert len(axes.collections) == 1


def test_a_run_that_ended_early_is_marked_and_a_standstill_goes_on():
    short = decaying(length=6, status=gf.Status.STAGNATED)
    broken = decaying(-1.0, length=4, status=gf.Status.NONFINITE)
    (axes,) = plot_histories({"whole": decaying(), "short": short, "broken": broken}, "energy").axes
    marks = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(marks, [[[0.5, 1e-5]], [[0.3, 1e3]]])
    (standstill,) = axes.collections
    np.testing.assert_allclose(standstill.get_segments()[0], [[0.5, 1e-5], [2.0, 1e-5]])


def test_an_accuracy_is_drawn_on_a_linear_scale():
    values = np.linspace(0.01, 0.9, 5)
    (axes, other) = plot_solution(
        made(length=5, test_accuracy=values, test_loss=values), "test_accuracy", "test_loss"
    ).axes
    assert (axes.get_yscale(), other.get_yscale()) == ("linear", "log")


def test_what_diverges_at_once_is_a_cross_with_an_entry_in_the_legend():
    gone = made(length=2, status=gf.Status.NONFINITE, energy=np.array([5.0, np.inf]))
    figure = plot_histories({"good": decaying(), "gone": [gone, gone]}, "energy")
    (axes,) = figure.axes
    marks = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "x"]
    assert marks == [[[0.0, 5.0]]] * 2
    assert [text.get_text() for text in figure.legends[0].texts] == ["good", "gone"]
    none = made(length=2, status=gf.Status.NONFINITE, energy=np.array([np.nan, np.nan]))
    figure = plot_histories({"good": decaying(), "none": none}, "energy")  # there is nothing to draw
    assert [text.get_text() for text in figure.legends[0].texts] == ["good"]


@pytest.mark.parametrize("diverging", [1, 2, 3, 5])
def test_a_run_that_diverged_is_infinite_from_its_end_on(diverging):
    bad = [decaying(-1.0, length=6, status=gf.Status.NONFINITE)] * diverging
    runs = [*bad, *[decaying(rate) for rate in (0.5, 0.6, 0.7, 0.8, 0.9)[diverging:]]]
    (axes,) = plot_histories({"five": runs, "other": decaying()}, "energy").axes
    middle = curves(axes)[0].get_ydata()
    wanted = np.median(
        [10.0 ** (-r * 20) if r else np.inf for r in (*[0] * diverging, *(0.5, 0.6, 0.7, 0.8, 0.9)[diverging:])]
    )
    if diverging == 5:
        assert len(middle) == 6
    elif diverging == 3:
        assert np.isfinite(middle[:6]).all()
        assert np.isnan(middle[6:]).all()
    else:
        assert middle[-1] == pytest.approx(wanted)
    band = axes.collections[0].get_paths()[0].vertices
    low, high = axes.get_ylim()
    assert high < 1e8  # the divergence does not set the scale
    assert low > 1e-25
    assert band[:, 1].max() > 1e20 if diverging < 5 else band[:, 1].max() == pytest.approx(1e5)


def test_half_of_the_runs_diverged_and_the_median_is_not_drawn():
    bad = decaying(-1.0, length=6, status=gf.Status.NONFINITE)
    (axes,) = plot_histories({"four": [bad, bad, decaying(), decaying()]}, "energy").axes
    assert np.isnan(curves(axes)[0].get_ydata()[6:]).all()


@pytest.mark.parametrize(("status", "message"), [(gf.Status.STAGNATED, ""), (gf.Status.DONE, "stationary point")])
def test_a_run_that_came_to_rest_keeps_its_last_value(status, message):
    rest = replace(decaying(0.1, length=6, status=status), message=message)
    (axes,) = plot_histories({"three": [rest, rest, decaying()]}, "energy").axes
    np.testing.assert_allclose(curves(axes)[0].get_ydata()[6:], 10**-0.5)


def test_the_table_of_several_runs():
    """One that goes on, one that diverged (its last record is no number), one at rest, and one that was only begun."""
    whole, begun = made(length=5, energy=np.arange(5.0, 0, -1)), made(length=2, energy=np.array([5.0, 4.5]))
    broken = made(length=4, status=gf.Status.NONFINITE, energy=np.array([5.0, np.nan, 7.0, np.inf]))
    rest = made(length=3, status=gf.Status.STAGNATED, energy=np.array([5.0, 3.0, 2.5]))
    at, table = spread_table([whole, broken, rest, begun], "step", "energy")
    nan, inf = np.nan, np.inf
    np.testing.assert_array_equal(at, np.arange(5))
    np.testing.assert_array_equal(
        table, [[5, 4, 3, 2, 1], [5, nan, 7, inf, inf], [5, 3, 2.5, 2.5, 2.5], [5, 4.5, nan, nan, nan]]
    )
    np.testing.assert_array_equal(finite_median(table), [5, 4, 3, 2.5, 2.5])
    np.testing.assert_array_equal(finite_median(table[[1, 1, 0], 2:]), [7, nan, nan])
    at, table = spread_table([broken], "epoch", "energy")
    np.testing.assert_allclose(at, [0, 0.2])  # nothing is drawn where no run has a value
    np.testing.assert_array_equal(table, [[5, 7]])


def test_residuals_are_drawn_by_size_and_infinities_not_at_all():
    values = np.array([1.0, -2.0, np.inf, -np.inf])
    run = made(length=4, identity_residual=values, modified_energy=values)
    np.testing.assert_array_equal(drawn_values(run, "identity_residual"), [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(drawn_values(run, "modified_energy"), [1, -2, np.nan, np.nan])


def test_a_divergence_is_no_good_accuracy_and_no_ratio():
    def of(length, status):
        shares = np.linspace(0.1, 0.9, length)
        return made(length=length, status=status, accuracy=shares, auxiliary_ratio=shares)

    runs = [of(6, gf.Status.NONFINITE), *[of(21, gf.Status.DONE)] * 2]
    accuracy, ratio = plot_histories({"three": runs}, ["accuracy", "auxiliary_ratio"]).axes
    for axes in (accuracy, ratio):
        vertices = axes.collections[0].get_paths()[0].vertices
        assert vertices[:, 1].max() == pytest.approx(0.9)
        assert (float(vertices[:, 1].min()) < 0) is (axes is accuracy)


def test_what_a_scheme_does_not_have_is_left_out():
    ratio = np.linspace(1, 0.5, 21)
    runs = {"euler": decaying(auxiliary_ratio=np.full(21, np.nan)), "sav": decaying(auxiliary_ratio=ratio)}
    energy, panel = plot_histories(runs, ["energy", "auxiliary_ratio"]).axes
    assert len(curves(energy)) == 2
    (line,) = curves(panel)
    assert line.get_color() == COLOURS[1]  # the colour belongs to the run


def test_infinite_values_and_zeros_do_not_spoil_a_scale():
    energy = np.array([1.0, 1e-3, np.inf, 0.0, 1e-9])
    (axes,) = plot_solution(made(length=5, energy=energy)).axes
    assert axes.get_yscale() == "log"
    assert np.isfinite(axes.get_ylim()).all()


def test_levels_are_marked_with_their_text():
    (axes,) = plot_histories({"run": decaying()}, "energy", levels={"energy": {"published": 1e-4}}).axes
    assert [text.get_text() for text in axes.texts] == ["published"]


@pytest.mark.parametrize(
    ("solutions", "quantity", "x", "message"),
    [
        ({}, "energy", "epoch", "must be a solution"),
        ({"run": []}, "energy", "epoch", "must be a solution"),
        ({"run": decaying()}, [], "epoch", "must be a quantity"),
        ({"run": decaying()}, "enrgy", "epoch", "recorded, step, epoch, time, energy; got 'enrgy'"),
        ({"run": decaying()}, "energy", "hour", "got 'hour'"),
    ],
)
def test_wrong_arguments(solutions, quantity, x, message):
    with pytest.raises(ValueError, match=message):
        plot_histories(solutions, quantity, x=x)


def test_files_are_written_on_white_and_are_the_same_each_time(tmp_path):
    from matplotlib.image import imread

    first, second = (save_figure(plot_solution(decaying()), tmp_path / name) for name in ("a.b", "c"))
    assert [path.name for path in first] == ["a.b.png", "a.b.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    np.testing.assert_array_equal(imread(first[0])[0, 0], 1.0)  # white and opaque


def test_pyplot_is_not_touched(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    plot_solution(decaying())
    assert "matplotlib.pyplot" not in sys.modules


def test_cases_stand_in_rows_with_one_style_for_one_name():
    runs = {"a": decaying(auxiliary_ratio=np.ones(21)), "b": decaying(2.0, auxiliary_ratio=np.ones(21))}
    rows = {"first": runs, "second": {"b": runs["b"]}}
    figure = plot_rows(rows, ["energy", "auxiliary_ratio"])
    assert len(figure.axes) == 4
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["first", "", "second", ""]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"] * 2
    assert curves(figure.axes[2])[0].get_color() == COLOURS[1]
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()
    assert [text.get_text() for text in figure.legends[0].texts] == ["a", "b"]
    with pytest.raises(ValueError, match="must be a solution"):
        plot_rows({}, "energy")


def test_the_scale_is_that_of_all_runs_in_all_rows():
    rows = {"first": {"a": decaying(0.01)}, "second": {"a": decaying(0.01), "b": decaying()}}
    assert [axes.get_yscale() for axes in plot_rows(rows, "energy").axes] == ["log", "log"]


def test_a_published_curve_is_grey_behind_ours_and_the_epochs_are_logarithmic():
    behind = {"first": {"a": {"energy": ([1, 100, 1e4], [1.0, 1e-3, 1e-6])}, "not run": {"energy": ([1], [1])}}}
    figure = plot_rows({"first": {"a": decaying(), "b": decaying(2.0)}}, "energy", behind=behind)
    (axes,) = figure.axes
    grey = [line for line in axes.get_lines() if len(line.get_xdata()) == 3]
    assert len(grey) == 1
    assert grey[0].get_zorder() < min(line.get_zorder() for line in axes.get_lines() if line is not grey[0])
    assert grey[0].get_color() not in COLOURS
    assert axes.get_xscale() == "symlog"
    assert [text.get_text() for text in figure.legends[0].texts] == ["a", "b", "published"]
    for wrong in ([], {"first": 1}, {"first": {"a": {"energy": 1}}}, {"first": {"a": {"energy": ([1, 2], [1])}}}):
        with pytest.raises(ValueError, match="behind"):
            plot_rows({"first": {"a": decaying()}}, "energy", behind=wrong)


def test_runs_with_records_at_different_places_are_put_where_they_belong():
    coarse, fine = made(length=2, energy=np.array([4.0, 2.0])), made(length=3, energy=np.array([3.0, 3.0, 3.0]))
    coarse = replace(coarse, history={**coarse.history, "step": np.array([0, 2])})
    at, table = spread_table([coarse, fine], "step", "energy")
    np.testing.assert_array_equal(at, [0, 1, 2])
    np.testing.assert_array_equal(table, [[4, 3, 2], [3, 3, 3]])
