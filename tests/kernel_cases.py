"""Arguments for every kernel, and a call of each."""

import numpy as np


def arrays(k, dtype, N=5, n=4, m=7, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    return {
        "X": draw(N, n), "W": draw(n, m), "V": draw(n, m), "a": draw(m, k), "a_dot": draw(m, k), "S": draw(N, m),
        "G": draw(N, m), "slope": draw(N, m), "slope_dot": draw(N, m), "delta": draw(N, k), "delta_dot": draw(N, k),
        "S_dot": draw(N, m), "a_v": draw(m, k), "delta_v": draw(N, k), "delta_uv": draw(N, k), "full": draw(N, k), "rows": draw(3, k), "indices": np.array([4, 0, 4]), "theta": draw((n + k) * m),
    }  # fmt: skip


def calls(K, s, d):
    """Return name -> result of every kernel of a set, with what depends on the marks composed."""
    S, marks = K.hidden_and_marks(d["X"], d["W"], s)
    values, slope = S * 1, K.slope_of(marks, s) * 1  # `backward` may use up S and marks
    curved = [d[n] for n in ("delta", "delta_dot", "a", "a_dot", "slope")]
    deltas, slopes = [d[n] for n in ("delta", "delta_dot", "delta_v", "delta_uv")], (d["slope"], d["slope_dot"])
    twice = deltas, [d[n] for n in ("a", "a_dot", "a_v")]
    return {
        "unpack": K.unpack(d["theta"], 4, 7, d["a"].shape[1])[0],
        "unpack, second part": K.unpack(d["theta"], 4, 7, d["a"].shape[1])[1],
        "hidden": K.hidden(d["X"], d["W"], s),
        "hidden_and_marks": values,
        "slope_of": slope,
        "backward": K.backward(d["X"], S, marks, d["delta"], d["a"], s),
        "slope_times": K.slope_times(d["delta"], d["a"], d["slope"]),
        "gradient": K.gradient(d["X"], d["G"], d["S"], d["delta"]),
        "tangent": K.tangent(d["X"], d["V"], d["slope"]),
        "tangent_gradient": K.tangent_gradient(*(d[n] for n in ("X", "G", "S", "S_dot", "delta", "delta_dot"))),
        "tangent_sensitivity": K.tangent_sensitivity(*curved, d["slope_dot"]),
        "tangent_sensitivity without": K.tangent_sensitivity(*curved, None),
        "second_tangent_sensitivity": K.second_tangent_sensitivity(*twice, (*slopes, d["G"], d["S"])),
        "second_tangent_sensitivity without": K.second_tangent_sensitivity(*twice, (d["slope"], None, None, None)),
        "gram": K.gram(d["X"], d["S"], d["slope"], d["a"], 0.7),
        "gram once": K.gram(d["X"], d["S"], d["slope"], d["a"], 1.0),
        "jacobian": K.jacobian(d["X"], d["S"], d["slope"], d["a"], 0.7),
        "scatter_rows": K.scatter_rows(d["full"], d["indices"], d["rows"]),
    }
