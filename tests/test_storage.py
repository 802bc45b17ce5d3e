"""Stored runs: what is read is what was run, or is refused; and nothing that happens while it is written loses it.

The two random tests take their numbers from the environment. In full::

    GRADFLOW_DAMAGES=2000 GRADFLOW_KILLS=100 pytest tests/test_storage.py -k "damaged or killed"
"""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import namedtuple
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradflow as gf
from gradflow.plotting.spreads import spread_table
from gradflow.run import archive
from gradflow.run.archive import pack, unpack
from gradflow.run.checkpoint import Checkpoint
from gradflow.run.identity import _resumed as resumed
from gradflow.run.solution import PLAIN, TREES, Best, Snapshot
from gradflow.run.storage import previous_file, solution_file, write_whole
from gradflow.schemes import REGISTRY

DAMAGES = int(os.environ.get("GRADFLOW_DAMAGES", "200"))
KILLS = int(os.environ.get("GRADFLOW_KILLS", "9"))
START = np.array([1.0, 2.0])
SCHEMES = [
    gf.SAV(),
    gf.Restart(gf.SAV()),
    gf.Relaxed(gf.AdaptiveSAV()),
    gf.ExpSAV(form="explicit"),
    gf.ElementwiseSAV(),
    gf.IEQ(),
    gf.Relaxed(gf.IEQ()),
    gf.Adam(),
    gf.HeavyBall(),
]


def parabola(k=1.0):
    return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t)


def run(scheme, path=None, steps=8, **more):
    """Run a scheme on mini-batches of a small network."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((24, 3))
    net = gf.TwoLayerNet(3, 10)
    problem = gf.Regression(net, x, np.sin(x.sum(axis=1)))
    settings = {"dt": 0.05, "batch_size": 5, "seed": 3, "every": 1, **more}
    return gf.solve(problem, scheme, net.init(1), steps=steps, checkpoint=path, **settings)


def bits(value):
    """Return a value as something that is equal only to a value of the same types and bits."""
    if isinstance(value, (np.ndarray, np.generic)):
        content = value.tobytes("A") if value.dtype.itemsize <= 8 else repr(value)  # a long double has idle bytes
        return type(value).__name__, value.dtype.str, value.shape, content, value.flags.f_contiguous
    if isinstance(value, (tuple, list)):
        return type(value).__name__, getattr(value, "_fields", None), tuple(map(bits, value))
    if isinstance(value, dict):
        return tuple((k, bits(v)) for k, v in value.items())
    return type(value).__name__, repr(value)


def solution_bits(solution):
    return bits({**vars(solution), "problem": None, "history": dict(solution.history), "config": dict(solution.config)})


def rich_solution():
    """Return a solution in which every field holds something."""

    class Control(NamedTuple):
        error: float
        n: int

    end = run(gf.Relaxed(gf.AdaptiveSAV()))
    shots = tuple(Snapshot(n, 0.1 * n, end.theta * n) for n in range(3))
    return replace(
        end,
        best=Best(end.theta, 0.1, 7),
        snapshots=shots,
        warnings=("one", "ü"),
        rejected=3,
        control=Control(float("inf"), 2),
    )


class Foreign(NamedTuple):
    """A state of somebody else's scheme, with a method."""

    theta: Any
    past: tuple = ()

    def mean(self):
        return sum((theta for theta, _, _ in self.past), self.theta) / (1 + len(self.past))


class TwoStep:
    """Somebody else's scheme: it keeps what it has seen."""

    def init(self, problem, theta):
        return Foreign(theta)

    def step(self, problem, state, dt):
        _, g = problem.energy_and_gradient(state.mean())
        return Foreign(state.theta - dt * g, (*state.past, (state.theta, None, dt))[-2:])


# ---------------------------------------------------------------- what is stored comes back


@pytest.mark.parametrize(
    "value",
    [
        (None, True, 3, -0.0, float("inf"), float("nan"), 1e-320, 2 + 3j, "text"),
        (np.float32(1.5), np.array(1.5), np.float64("nan"), np.bool_(True), np.int8(-1)),
        [np.arange(3), {"a": np.ones(2, np.complex64), "b/c": [np.zeros((0, 3))], "": None}],
        ((np.ones(2), np.float64(2.0), 0.1), (np.zeros(2), None, 0.1)),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3)[:, ::2]),
        (np.arange(3, dtype=">f8"), np.array([True, False]), np.longdouble("0.1")),
        gf.AuxState(np.ones(3), None),
        namedtuple("Relaxation", "theta θ")(np.ones(3), gf.FlowState(np.zeros(2))),
        {"a\0b": np.ones(1), "é": np.ones(2), "x" * 300: np.ones(3), "/..": np.ones(4)},
    ],
)
def test_a_tree_comes_back_with_its_types_and_bits(value):
    again = unpack(pack({}, {"tree": value}), (), ("tree",))["tree"]
    assert bits(again) == bits(value)


def test_a_foreign_state_can_be_copied_and_sent():
    state = unpack(pack({}, {"state": Foreign(START, (START, None, 0.1))}), (), ("state",))["state"]
    for again in (
        pickle.loads(pickle.dumps(state)),
        copy.deepcopy(state),
        copy.copy(state),
        state._replace(past=state.past),
    ):
        assert type(again) is type(state)
        assert bits(again) == bits(state)
    assert type(state).__name__ == "Foreign"


def test_one_array_at_two_places_is_stored_once():
    theta = np.arange(1000.0)
    tree = gf.AuxState(theta, (theta, theta))
    data = pack({}, {"tree": tree})
    assert len(data) < 8 * 1000 + 2000
    again = unpack(data, (), ("tree",))["tree"]
    assert again.aux[0] is again.theta
    assert data == pack({}, {"tree": again})


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, np.array(["a"]), np.array([None]), {"a": {3}}, np.datetime64("now")]
)
def test_what_cannot_be_stored_is_named(value):
    with pytest.raises(ValueError, match=r"tree/1.* to be stored, got"):
        pack({}, {"tree": (1, value)})


@pytest.mark.parametrize("name", REGISTRY)
def test_the_state_of_every_scheme_comes_back_as_itself(tmp_path, name):
    scheme = REGISTRY[name](gf.SAV()) if name in ("Restart", "Relaxed") else REGISTRY[name]()
    end = run(scheme, steps=2)
    again = gf.Solution.load(end.save(tmp_path / "run"))
    assert solution_bits(again) == solution_bits(end)
    assert type(again.state) is type(end.state)
    assert again.save(tmp_path / "again").read_bytes() == (tmp_path / "run.npz").read_bytes()


def test_a_state_that_holds_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="tree must not hold themselves"):
        pack({}, {"tree": loop})


def test_every_field_of_a_solution_comes_back(tmp_path):
    solution = rich_solution()
    again = gf.Solution.load(solution.save(tmp_path / "run"))
    assert solution_bits(again) == solution_bits(solution)
    assert type(again.best) is Best
    assert all(type(shot) is Snapshot for shot in again.snapshots)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    with np.load(tmp_path / "run.npz") as arrays:  # anybody can read it
        assert np.array_equal(arrays["theta"], solution.theta)
        assert json.loads(arrays["document"].tobytes())["message"] == solution.message


def test_solutions_are_sent_to_a_spawned_process(tmp_path):
    problem = parabola()
    made = [gf.solve(problem, scheme, START, dt=0.1, steps=3) for scheme in (gf.Adam(), gf.HeavyBall(), TwoStep())]
    loaded = [gf.Solution.load(s.save(tmp_path / f"{n}")) for n, s in enumerate(made)]
    assert loaded[2].state._fields == Foreign._fields
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(pickle.load(sys.stdin.buffer)))"
    sent = pickle.dumps((made[:2], loaded))
    back = pickle.loads(
        subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout
    )
    for there, here in zip((*back[0], *back[1]), (*made[:2], *loaded), strict=True):
        assert solution_bits(there) == solution_bits(here)
        assert type(there.state) is type(here.state)


# ---------------------------------------------------------------- damage


def members_of(data):
    with zipfile.ZipFile(BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(members, compression=zipfile.ZIP_STORED):
    out = BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def forged(members):
    """Return a file of these members whose hash is right."""
    members = {name: content for name, content in members.items() if name != "sha256.npy"}
    digest = np.frombuffer(archive._digest(members), np.uint8)
    return zipped(members | {"sha256.npy": archive._member(digest, "sha256")})


def with_document(data, change):
    members = members_of(data)
    document = json.loads(archive._array(members["document.npy"], "").tobytes())
    change(document)
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    return members | {"document.npy": archive._member(text, "document")}


def damaged(rng, data, other):
    """Return a file with one random damage."""
    kind = rng.integers(10)
    at = int(rng.integers(len(data)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data + rng.bytes(1 + at % 5000)
    if kind in (2, 3):  # bits
        changed = bytearray(data)
        for place in rng.integers(8 * len(data), size=rng.integers(1, 9)):
            changed[place // 8] ^= 1 << int(place % 8)
        return bytes(changed)
    if kind == 4:  # a page that was never written
        return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :]
    if kind == 5:  # old and new bytes in one file
        return data[:at] + other[at:]
    members = members_of(data)
    a, b = rng.choice(list(members), 2, replace=False)
    if kind == 6:
        members[a], members[b] = members[b], members[a]
    elif kind == 7:
        del members[a]
    elif kind == 8:
        theirs = members_of(other)
        if theirs[a] == members[a]:
            a = "sha256.npy"
        members[a] = theirs[a]
    else:
        keys = ("steps", "status", "config", "warnings", "format", "state", "message", "rejected")

        def change(document):
            key = keys[at % len(keys)]
            document[key] = [document[key], 3, "done", None, {}, [], -1.5][int(rng.integers(1, 7))]

        members = with_document(data, change)
    return zipped(members)


def test_a_damaged_file_is_refused_or_is_what_was_run(tmp_path):
    solution, file = rich_solution(), tmp_path / "run.npz"
    whole = solution.save(file).read_bytes()
    moved = solution.state._replace(theta=solution.theta + 1)
    history = dict(solution.history) | {"step": np.append(solution.history["step"][:-1], 9)}
    another = replace(solution, theta=moved.theta, state=moved, history=history, steps=9, message="another")
    other = another.save(tmp_path / "another").read_bytes()
    right = (solution_bits(solution), solution_bits(another))
    rng = np.random.default_rng(0)
    reasons = []
    for _ in range(DAMAGES):
        data = damaged(rng, whole, other)
        while data in (whole, other):
            data = damaged(rng, whole, other)
        file.write_bytes(data)
        try:
            again = gf.Solution.load(file)
        except ValueError as error:
            reasons.append(str(error).partition("'gradflow solution 2': ")[2])
        else:
            assert solution_bits(again) in right
    print(f"{DAMAGES} damages: {len(reasons)} refused, {DAMAGES - len(reasons)} loaded to the same bits")
    assert all(reasons)
    assert len(reasons) > 0.7 * DAMAGES


def header(text):
    text = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HOSTILE = {
    "2^40 numbers": header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40},), }}"),
    "2^4000 numbers": header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**4000},), }}"),
    "nothing in no direction": header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(0,) * 99}, }}"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (), }") + pickle.dumps(print),
    "a structure": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }") + bytes(8),
    "no dtype": header("{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }") + bytes(3),
    "an expression": header("{'descr': '<f8', 'fortran_order': False, 'shape': (print(1),), }"),
    "no header": b"\x93NUMPY\x01\x00\xff\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("member", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_array_is_refused_although_the_hash_is_right(tmp_path, member):
    members = members_of(gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2).save(tmp_path / "run").read_bytes())
    (tmp_path / "run.npz").write_bytes(forged(members | {"history/energy.npy": member}))
    with pytest.raises(ValueError, match=r"run\.npz must be a file that Solution\.save wrote"):
        gf.Solution.load(tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "gradflow solution 3"},
        {"status": "fine"},
        {"steps": -1},
        {"steps": 1e3},
        {"config": []},
        {"warnings": [1]},
        {"wall_time": "1"},
        {"theta": {"array": "state/phi"}},
        {"theta": {"pickle": "x"}},
        {"state": {"type": "A B", "of": "elsewhere", "fields": {"theta": {"array": "theta"}}}},
        {"state": {"type": "A", "of": "elsewhere", "fields": {"theta, x=print()": 1}}},
        {"state": {"type": "AuxState", "of": "gradflow", "fields": {"aux": 1}}},
        {"state": {"type": ["A"], "of": "elsewhere", "fields": {"theta": 1}}},
        {"state": {"tuple": [1]}},
        {"best": {"tuple": [1]}},
        {"snapshots": 3},
        {"history": {"dict": {"energy": {"array": "history/energy"}, "step": 3}}},
    ],
    ids=str,
)
def test_a_hostile_document_is_refused_although_the_hash_is_right(tmp_path, change):
    data = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2).save(tmp_path / "run").read_bytes()
    (tmp_path / "run.npz").write_bytes(forged(with_document(data, lambda document: document.update(change))))
    with pytest.raises(ValueError, match=r"run\.npz must be a file that Solution\.save wrote"):
        gf.Solution.load(tmp_path / "run")


def replaced(key, **fields):
    """Return a damage that puts other values into a NamedTuple or a dictionary."""
    return lambda v: v | {key: {**v[key], **fields} if isinstance(v[key], dict) else v[key]._replace(**fields)}


def each(change):
    return lambda v: v | {"history": {name: change(a) for name, a in v["history"].items()}}


def with_state(**fields):
    """Return a damage of the state; theta is that of the state."""

    def change(v):
        state = v["state"]._replace(**fields)
        return v | {"state": state, "theta": state.theta}

    return change


NAN = float("nan")
UNSOUND = {
    "no history": lambda v: v | {"history": {}},
    "no records": each(lambda a: a[:0]),
    "two axes": each(lambda a: a[:, None]),
    "two lengths": lambda v: v | {"history": v["history"] | {"energy": np.ones(2)}},
    "a list": lambda v: v | {"history": v["history"] | {"energy": [1.0] * 9}},
    "complex": replaced("history", energy=np.ones(9) + 1j),
    "truth values": replaced("history", energy=np.ones(9, bool)),
    "no step": lambda v: v | {"history": {n: a for n, a in v["history"].items() if n != "step"}},
    "no time": lambda v: v | {"history": {n: a for n, a in v["history"].items() if n != "time"}},
    "backwards": each(lambda a: a[::-1].copy()),
    "the end missing": each(lambda a: a[:-1]),
    "a step twice": each(lambda a: np.concatenate([a, a[-1:]])),
    "half steps": replaced("history", step=np.arange(9) / 1.0),
    "times that fall": replaced("history", time=-np.arange(9.0)),
    "no times": replaced("history", time=np.full(9, NAN)),
    "fewer steps": lambda v: v | {"steps": 2},
    "more steps": lambda v: v | {"steps": 15},
    "another theta": lambda v: v | {"theta": v["theta"] * 7},
    "theta of another dtype": lambda v: v | {"theta": v["theta"].astype("f4")},
    "theta with a zero of another sign": lambda v: (
        with_state(theta=np.zeros(41))(v) | {"theta": -np.zeros(41), "best": None, "snapshots": ()}
    ),
    "theta nan": with_state(theta=np.full(2, NAN)),
    "theta of integers": with_state(theta=np.ones(2, int)),
    "theta a matrix": with_state(theta=np.ones((2, 2))),
    "theta text": with_state(theta="a"),
    "aux nan": with_state(aux=np.array(NAN)),
    "aux inf": with_state(aux=float("inf")),
    "best energy": replaced("best", energy="a"),
    "best energy nan": replaced("best", energy=NAN),
    "best step": replaced("best", step=1.5),
    "best later than the end": replaced("best", step=99),
    "best theta": replaced("best", theta=np.ones(3)),
    "best theta text": replaced("best", theta="a"),
    "snapshot step": lambda v: v | {"snapshots": (Snapshot(-1, 0.0, v["theta"]),)},
    "snapshot time": lambda v: v | {"snapshots": (Snapshot(1, None, v["theta"]),)},
    "snapshot theta": lambda v: v | {"snapshots": (Snapshot(1, 0.1, np.ones(3)),)},
    "control a tuple": lambda v: v | {"control": (1.0,)},
    "control a number": lambda v: v | {"control": 1.0},
    "control of texts": lambda v: v | {"control": Foreign("a", 1.0)},
    "control of vectors": lambda v: v | {"control": Foreign(np.ones(2), 1.0)},
}
OTHER = {
    "a history without energy": lambda v: v | {"history": {n: a for n, a in v["history"].items() if n != "energy"}},
    "a first step of 1": each(lambda a: a[1:]),
    "a history of integers": replaced("history", energy=np.ones(9, int)),
    "a history of more": lambda v: v | {"history": v["history"] | {"z": v["history"]["energy"]}},
    "three parameters": lambda v: with_state(theta=np.ones(3))(v) | {"best": None},
    "aux text": with_state(aux="a"),
    "no aux": with_state(aux=None),
    "aux a vector": with_state(aux=np.ones(2)),
    "aux of another dtype": with_state(aux=np.float32(1)),
    "aux a tuple": with_state(aux=(1.0,)),
    "single precision": lambda v: with_state(theta=v["theta"].astype("f4"))(v) | {"best": None},
    "another step control": lambda v: v | {"control": Foreign(0.1, 1.0)},
    "no step control": lambda v: v | {"control": None},
    "no probe": replaced("config", probe={}),
    "a probe of text": replaced("config", probe="a"),
    "a probe of None": replaced("config", probe=None),
    "a probe of texts": replaced("config", probe={"energy": ["a", "b"], "gradient_norm": [1, 2]}),
    "a short probe": replaced("config", probe={"energy": [1.0], "gradient_norm": [1.0]}),
    "a probe of numbers": replaced("config", probe={"energy": 1.0, "gradient_norm": 1.0}),
}


def unsound(file, change):
    """Change the values in a file of a run, and give it the right hash."""
    values = change(unpack(file.read_bytes(), PLAIN, TREES))
    file.write_bytes(pack({name: values[name] for name in PLAIN}, {name: values[name] for name in TREES}))


def controlled(path, steps):
    return gf.solve(
        parabola(), gf.SAV(), START, dt=gf.ByError(dt_max=0.1), steps=steps, checkpoint=path, record=["energy"]
    )


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND)
def test_members_that_do_not_fit_each_other_are_refused_although_the_hash_is_right(tmp_path, change):
    file = tmp_path / "run.npz"
    controlled(file, 8)
    unsound(file, change)
    for read in (gf.Solution.load, lambda path: controlled(path, 12)):
        with pytest.raises(ValueError, match=r"run\.npz must be a file that Solution\.save wrote: \w+"):
            read(file)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_a_run_does_not_go_on_from_members_that_are_not_its_own(tmp_path, change):
    file = tmp_path / "run.npz"
    controlled(file, 8)
    unsound(file, change)
    gf.Solution.load(file)
    with pytest.raises(ValueError, match=r"run\.npz (holds a|must hold)"):
        controlled(file, 12)


def test_a_solution_that_does_not_fit_together_is_not_stored(tmp_path):
    end = controlled(None, 3)
    with pytest.raises(ValueError, match="theta must be the theta of the state"):
        replace(end, theta=end.theta + 1).save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
def test_a_state_whose_square_overflows_is_stored(tmp_path):
    end = controlled(None, 3)
    theta = np.full(2, 1e200)
    huge = replace(end, theta=theta, state=end.state._replace(theta=theta), best=None)
    assert np.array_equal(gf.Solution.load(huge.save(tmp_path / "run")).theta, theta)


def test_a_column_of_whole_numbers_can_be_stored(tmp_path):
    end = controlled(None, 3)
    more = replace(end, history={**end.history, "n": np.arange(len(end.history["step"]))})
    assert gf.Solution.load(more.save(tmp_path / "run")).history["n"].dtype == int


class Size(NamedTuple):
    """The state of somebody else's step control, with a method."""

    dt: float

    def next(self):
        return Size(0.9 * self.dt)


class Shrinking:
    """Somebody else's step control."""

    def init(self):
        return Size(0.1)

    def propose(self, control, n):
        return control.dt

    def judge(self, control, attempt):
        return True, control.next()


def test_a_resumed_run_of_somebody_elses_step_control_has_its_own_types(tmp_path):
    whole = gf.solve(parabola(), gf.SAV(), START, dt=Shrinking(), steps=9)
    for steps in (5, 9):
        end = gf.solve(parabola(), gf.SAV(), START, dt=Shrinking(), steps=steps, checkpoint=tmp_path / "run")
    assert type(end.control) is Size
    assert solution_bits(replace(end, wall_time=0, cpu_time=0, config={})) == solution_bits(
        replace(whole, wall_time=0, cpu_time=0, config={})
    )


def test_a_stored_control_of_none_stays_none(tmp_path):
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3)
    kept = resumed(replace(end, control=None), end.state, "run", Size(0.1))
    assert kept.control is None
    with pytest.raises(ValueError, match="run holds a NoneType, but the step control starts from a StepSize of dt"):
        resumed(replace(end, control=None), end.state, "run", gf.ByError(dt_max=0.1).init())


def test_a_state_may_grow_arrays_that_it_did_not_start_with(tmp_path):
    class Growing(TwoStep):
        def init(self, problem, theta):
            return Foreign(theta, 0.0)

        def step(self, problem, state, dt):
            velocity = 0.5 * state.past - dt * problem.energy_and_gradient(state.theta)[1]
            return Foreign(state.theta + velocity, velocity)

    whole = gf.solve(parabola(), Growing(), START, dt=0.1, steps=9)
    for steps in (4, 9):
        end = gf.solve(parabola(), Growing(), START, dt=0.1, steps=steps, checkpoint=tmp_path / "run")
    assert bits(end.state) == bits(whole.state)


def test_bombs_are_refused(tmp_path):
    file = tmp_path / "run.npz"
    members = members_of(gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2).save(file).read_bytes())
    file.write_bytes(zipped(members | {"theta.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED))
    assert file.stat().st_size < 10**6
    with pytest.raises(ValueError, match="without compression"):
        gf.Solution.load(file)
    deep = archive._member(np.frombuffer(b"[" * 10**6, np.uint8), "document")
    file.write_bytes(forged(members | {"document.npy": deep}))
    with pytest.raises(ValueError, match="RecursionError"):
        gf.Solution.load(file)
    promised = bytearray(zipped({**members, "document.npy": bytes(3)}))
    place = promised.rindex(b"document.npy") - 46  # its entry in the directory at the end
    assert promised[place : place + 2] == b"PK"
    promised[place + 20 : place + 28] = (2**31).to_bytes(4, "little") * 2
    file.write_bytes(promised)
    with pytest.raises(ValueError, match="promise more bytes"):
        gf.Solution.load(file)
    file.write_bytes(zipped(members | {"gheta.npy": b""}).replace(b"gheta.npy", b"theta.npy"))
    with pytest.raises(ValueError, match="each name once"):
        gf.Solution.load(file)


def test_files_of_the_first_format_are_refused_by_name(tmp_path):
    np.savez_compressed(tmp_path / "run.npz", token=np.array("x"), theta=START)
    (tmp_path / "run.json").write_text("{}")
    for read in (
        gf.Solution.load,
        lambda path: gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1, checkpoint=path),
    ):
        with pytest.raises(ValueError, match="'gradflow solution 1', which is not read any more"):
            read(tmp_path / "run")


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run\.npz"):
        gf.Solution.load(tmp_path / "run")


@pytest.mark.parametrize("path", [None, 3, b"a", "", ".", "folder", "a\0b", Path("a\0b")])
def test_a_table_needs_a_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1)
    with pytest.raises(ValueError, match="path must"):
        end.to_csv(path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="regular file"):
        gf.Solution.load(tmp_path / "run")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("ck/", "ck.npz"),
        ("ck", "ck.npz"),
        ("ck.npz", "ck.npz"),
        ("a/b.1", "a/b.1.npz"),
        (".x", ".x.npz"),
        ("a//b/", "a/b.npz"),
    ],
)
def test_a_path_stands_for_one_file(tmp_path, monkeypatch, path, file):
    monkeypatch.chdir(tmp_path)
    assert solution_file(path) == Path(file)
    first = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3, checkpoint=path)
    assert Path(file).is_file()
    assert np.array_equal(gf.Solution.load(path).theta, first.theta)
    taken = []
    gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=5, checkpoint=path, callback=lambda n, s: taken.append(n))
    assert taken == [4, 5]
    assert first.save(path) == Path(file)


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/", ".npz", "folder/.npz", "folder", "folder/", "taken", 3, b"run", "a\0b"]
)
def test_a_path_that_names_no_file_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken.npz").mkdir()
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1)
    for use in (
        end.save,
        gf.Solution.load,
        lambda p: gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1, checkpoint=p),
    ):
        with pytest.raises(ValueError, match=r"(path|checkpoint) must"):
            use(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "taken.npz"]


def test_a_folder_beside_its_file_does_not_hide_it(tmp_path):
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1)
    end.save(tmp_path / "run")
    (tmp_path / "run").mkdir()
    assert gf.Solution.load(tmp_path / "run").steps == 1


@pytest.mark.parametrize("path", ["file/run", "/proc/gradflow/run", "x" * 300])
def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_run(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="checkpoint must be a file that can be written"):
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1, checkpoint=path)


def test_a_read_only_file_is_not_replaced(tmp_path):
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1, checkpoint=tmp_path / "run")
    file = tmp_path / "run.npz"
    file.chmod(0o444)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2, checkpoint=file)
    with pytest.raises(PermissionError, match="read-only"):
        end.save(file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_the_previous_file_is_kept_and_named_when_it_is_needed(tmp_path):
    first = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1, checkpoint=tmp_path / "run")
    gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2, checkpoint=tmp_path / "run")
    gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3, checkpoint=tmp_path / "run")
    previous = previous_file(tmp_path / "run.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.npz.previous"]
    (tmp_path / "run.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"The file before it is run\.npz\.previous"):
        gf.Solution.load(tmp_path / "run")
    previous.rename(tmp_path / "run.npz")
    assert gf.Solution.load(tmp_path / "run").steps == 2
    assert first.steps == 1


def test_the_previous_file_is_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    for text in (b"1", b"2", b"3"):
        write_whole(tmp_path / "a", text, keep=True)
    assert (tmp_path / "a").read_bytes() == b"3"
    assert (tmp_path / "a.previous").read_bytes() == b"2"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "run.npz").symlink_to(tmp_path / "big" / "run.npz")
    for steps in (1, 2):
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=steps, checkpoint=tmp_path / "run")
    assert (tmp_path / "run.npz").is_symlink()
    assert sorted(p.name for p in (tmp_path / "big").iterdir()) == ["run.npz", "run.npz.previous"]


@pytest.mark.parametrize("moment", ["write", "fsync", "link", "replace"])
def test_at_no_moment_is_the_file_missing_or_torn(tmp_path, monkeypatch, moment):
    """A failure at any of the four system calls leaves the old file, and no other."""
    first = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=1)
    second = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2)
    first.save(tmp_path / "run")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    if moment == "write":
        monkeypatch.setattr(Path, "open", fail)
    elif moment == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, moment, fail)
        monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(OSError, match="No space left"):
        second.save(tmp_path / "run")
    monkeypatch.undo()
    assert gf.Solution.load(tmp_path / "run").steps == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


# ---------------------------------------------------------------- the same run


def test_a_resumed_run_of_somebody_elses_scheme_has_its_own_types(tmp_path):
    whole = gf.solve(parabola(), TwoStep(), START, dt=0.1, steps=9)
    gf.solve(parabola(), TwoStep(), START, dt=0.1, steps=4, checkpoint=tmp_path / "run")
    resumed = gf.solve(parabola(), TwoStep(), START, dt=0.1, steps=9, checkpoint=tmp_path / "run")
    assert type(resumed.state) is Foreign
    assert bits(resumed.state) == bits(whole.state)

    class Renamed(TwoStep):
        def init(self, problem, theta):
            return gf.FlowState(theta)

        def describe(self):
            return "TwoStep"

    with pytest.raises(
        ValueError,
        match=r"holds a (Foreign of theta, past, but the scheme starts from a FlowState|run of other settings)",
    ):
        gf.solve(parabola(), Renamed(), START, dt=0.1, steps=9, checkpoint=tmp_path / "run")


def test_a_run_in_another_array_library_goes_on_in_it(tmp_path):
    xp = pytest.importorskip("array_api_strict")
    theta = xp.asarray(START)
    problem = gf.FunctionProblem(lambda t: xp.sum(t * t) / 2, lambda t: t)
    whole = gf.solve(problem, gf.Relaxed(gf.SAV()), theta, dt=0.1, steps=9)
    gf.solve(problem, gf.Relaxed(gf.SAV()), theta, dt=0.1, steps=4, checkpoint=tmp_path / "run")
    resumed = gf.solve(problem, gf.Relaxed(gf.SAV()), theta, dt=0.1, steps=9, checkpoint=tmp_path / "run")
    assert type(resumed.state.base.theta) is type(theta)
    assert np.array_equal(np.asarray(resumed.theta), np.asarray(whole.theta))


@pytest.mark.parametrize(
    ("dtype", "near", "far"),
    [("float64", 1 + 1e-12, 1 + 1e-8), ("float64", 1.0, 1.0009), ("float32", 1 + 1e-5, 1.0009)],
)
def test_functions_are_the_same_up_to_rounding(tmp_path, dtype, near, far):
    theta = START.astype(dtype)
    gf.solve(parabola(), gf.SAV(), theta, dt=0.1, steps=3, checkpoint=tmp_path / "run")
    assert gf.solve(parabola(near), gf.SAV(), theta, dt=0.1, steps=5, checkpoint=tmp_path / "run").steps == 5
    with pytest.raises(ValueError, match=r"energy or gradient at theta0 or near it differ"):
        gf.solve(parabola(far), gf.SAV(), theta, dt=0.1, steps=6, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_permuted_data_behind_functions_are_other_data(tmp_path, dtype, start):
    """At theta0 with equal entries neither the energy nor the gradient's norm changes under a permutation of y."""
    y = np.array([1.0, 2.0], dtype=dtype)

    def solve(y, steps):
        problem = gf.DenseLeastSquares(lambda t: t - y, lambda t: np.eye(2, dtype=dtype))
        theta = np.full(2, start, dtype=dtype)
        return gf.solve(problem, gf.Restart(gf.IEQ()), theta, dt=1.0, steps=steps, checkpoint=tmp_path / "run")

    solve(y, 2)
    assert solve(y.copy(), 4).steps == 4
    with pytest.raises(ValueError, match="other settings"):
        solve(y[::-1].copy(), 6)


def test_an_energy_without_values_near_theta0_can_be_kept(tmp_path):
    def energy(t):
        if t[0] != 1.0 and t[0] > 0.99:
            raise ValueError("outside of the domain")
        return t @ t / 2

    problem = gf.FunctionProblem(energy, lambda t: t)
    start = np.array([1.0, 1e3])
    for steps in (2, 4):
        end = gf.solve(problem, gf.GradientDescent(), start, dt=0.5, steps=steps, checkpoint=tmp_path / "run")
        assert end.steps == steps


def test_start_at_a_minimum_goes_on(tmp_path):
    """Energy and gradient are zero up to rounding there: the second point sets the scale."""
    for noise, steps in ((0.0, 2), (1e-17, 4)):
        problem = gf.FunctionProblem(lambda t, e=noise: t @ t / 2 + e, lambda t, e=noise: t + e)
        end = gf.solve(problem, gf.GradientDescent(), np.zeros(2), dt=0.1, steps=steps, checkpoint=tmp_path / "run")
        assert end.steps == steps


def test_nobody_pays_for_a_probe_without_a_checkpoint(tmp_path):
    def evaluations(**more):
        seen = []
        problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: seen.append(t) or t)
        gf.solve(problem, gf.GradientDescent(), START, dt=0.1, steps=3, record=[("a", lambda s: 0.0)], **more)
        return len(seen)

    assert evaluations(checkpoint=tmp_path / "run") == evaluations() + 2


VALLEY = np.array([-1.2, 0.4])


def valley(**more):
    """Return a residual of Rosenbrock's kind with its Jacobian."""
    return gf.DenseLeastSquares(
        lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]),
        lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]]),
        **more,
    )


class OwnPolicy:
    """Weights of one's own; the memory counts the steps, in an array that is used again."""

    def __init__(self, a):
        self.a, self.buffer = a, np.zeros(3)

    def start(self, theta, n):
        return (np.zeros(3),)

    def update(self, parts, memory):
        self.buffer[:] = memory[0] + 1
        return (self.buffer,)

    def weights(self, memory):
        return np.array([self.a, 1 - self.a])


class OwnCurvature:
    """One of two curvatures of the library."""

    def __init__(self, a):
        self.a = a

    def at(self, problem, theta):
        return (gf.curvature.GaussNewton() if self.a > 0.3 else gf.curvature.Hessian()).at(problem, theta)


class OwnPreconditioner:
    """A diagonal."""

    def __init__(self, a):
        self.a = a

    def at(self, model, weights):
        return lambda v, nu: v * np.array([1.0, self.a])


def with_policy(a):
    parts = (gf.curvature.GaussNewton(), gf.curvature.Hessian())
    return gf.SecondOrder(curvature=gf.curvature.AdaptiveMixture(parts, OwnPolicy(a)))


def with_curvature(a):
    return gf.SecondOrder(curvature=gf.curvature.MovingAverage(OwnCurvature(a)))


def with_entry_of_a_tuple(a):
    parts = (gf.curvature.Mixture((gf.curvature.Hessian(), OwnCurvature(a)), (0.25, 0.75)), gf.curvature.GaussNewton())
    return gf.SecondOrder(curvature=gf.curvature.Mixture(parts, (0.9, 0.1)))


def with_preconditioner(a):
    solver = gf.curvature.PCG(OwnPreconditioner(a), tol=0.5)
    return gf.LevenbergMarquardt(globalization=gf.curvature.NielsenDamping(), solver=solver)


@pytest.mark.parametrize("make", [with_policy, with_curvature, with_entry_of_a_tuple, with_preconditioner])
def test_a_part_of_ones_own_however_deep_is_probed(tmp_path, make):
    """Two levels down and more: the same one goes on, as one run would, and another one is refused."""
    problem, how = valley(), {"checkpoint": tmp_path / "run", "record": ["energy"]}
    gf.solve(problem, make(0.5), VALLEY, steps=4, **how)
    with pytest.raises(ValueError, match="other settings"):
        gf.solve(problem, make(0.1), VALLEY, steps=9, **how)
    again = gf.solve(problem, make(0.5), VALLEY, steps=9, **how)
    whole = gf.solve(problem, make(0.5), VALLEY, steps=9)
    np.testing.assert_array_equal(again.theta, whole.theta)


def test_a_first_trial_that_is_rejected_hides_no_part_of_ones_own(tmp_path):
    """The step of the probe is the first that moves theta. Of the library's own parts there is none."""
    parts = (gf.curvature.GaussNewton(), gf.curvature.Hessian())

    def run(policy, steps):
        curvature = gf.curvature.AdaptiveMixture(parts, policy)
        scheme = gf.SecondOrder(curvature=curvature, globalization=gf.curvature.TrustRegion(radius=100.0))
        return gf.solve(valley(), scheme, START, steps=steps, checkpoint=tmp_path / type(policy).__name__)

    first = run(OwnPolicy(0.5), 1)
    np.testing.assert_array_equal(first.theta, START)
    with pytest.raises(ValueError, match="other settings"):
        run(OwnPolicy(0.1), 9)
    assert run(OwnPolicy(0.5), 9).steps == 9
    assert "first step" in first.config["probe"]
    assert "first step" not in run(gf.curvature.Hedge(), 1).config["probe"]


def test_arrays_of_a_policy_of_ones_own_are_copied():
    seen = []
    gf.solve(valley(), with_policy(0.5), VALLEY, steps=8, callback=lambda n, state: seen.append(state))
    counts = [float(state.memory[0][0]) for state in seen]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_problem_of_ones_own_within_a_sum_is_probed(tmp_path):
    class Own(gf.FunctionProblem):
        """A problem that lies about nothing that the first probe sees."""

        def __init__(self, a):
            super().__init__(lambda t: t @ t / 2, lambda t: 1.0 * t)
            self.a = a

        def hvp(self, theta, v):
            return self.a * v

    def run(a, steps):
        bowl = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t, lambda t, v: 1.0 * v)
        terms = gf.SumOfEnergies([gf.SumOfEnergies([bowl, Own(a)]), bowl])
        return gf.solve(
            terms, gf.TrustRegion(curvature=gf.curvature.Hessian()), START, steps=steps, checkpoint=tmp_path / "r"
        )

    run(1.0, 2)
    with pytest.raises(ValueError, match="other settings"):
        run(9.0, 4)
    assert run(1.0, 4).steps >= 2


@pytest.mark.parametrize("kind", ["residual", "energy", "sum"])
def test_another_product_that_was_given_is_another_problem(tmp_path, kind):
    """A factor -3, or none where there was one, even if no step calls it."""
    J = lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]])  # noqa: E731

    def problem(a):
        hvp = None if a is None else lambda t, v: a * (J(t).T @ (J(t) @ v))
        if kind == "residual":
            return valley(hvp=hvp)
        one = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t, hvp)
        return one if kind == "energy" else gf.SumOfEnergies([parabola(), one])

    how = {"dt": 1e-3, "checkpoint": tmp_path / "run"}
    gf.solve(problem(1.0), gf.GradientDescent(), VALLEY, steps=2, **how)
    for a in (-3.0, None):
        with pytest.raises(ValueError, match="other settings"):
            gf.solve(problem(a), gf.GradientDescent(), VALLEY, steps=4, **how)
    assert gf.solve(problem(1.0), gf.GradientDescent(), VALLEY, steps=4, **how).steps == 4


def test_a_run_kept_without_a_probe_is_not_taken_up(tmp_path):
    gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3).save(tmp_path / "run")
    with pytest.raises(ValueError, match="without a probe of its energy"):
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=5, checkpoint=tmp_path / "run")


def test_settings_of_a_forged_file_are_compared(tmp_path):
    file = tmp_path / "run.npz"
    gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3, checkpoint=file)
    file.write_bytes(forged(with_document(file.read_bytes(), lambda d: d["config"].update(dt=0.2, t_end=1))))
    with pytest.raises(ValueError, match=r"other settings \(dt, t_end differ"):
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=5, checkpoint=file)


def test_a_finished_bad_run_says_where_it_was_stored(tmp_path):
    problem = gf.FunctionProblem(lambda t: (t @ t) ** 2, lambda t: 4 * (t @ t) * t)
    bad = gf.solve(problem, gf.GradientDescent(), START, dt=10.0, steps=99, checkpoint=tmp_path / "run")
    for _ in range(2):
        again = gf.solve(problem, gf.GradientDescent(), START, dt=10.0, steps=99, checkpoint=tmp_path / "run")
        assert again.status is bad.status is gf.Status.NONFINITE
        assert again.message == f"{bad.message} (stored in {tmp_path / 'run.npz'}; no step was taken)"
        assert bits(again.state) == bits(bad.state)


class Describing(gf.FunctionProblem):
    """A problem whose description is an argument."""

    def __init__(self, words):
        super().__init__(lambda t: t @ t / 2, lambda t: t)
        self.words = words

    def describe(self):
        return self.words


@pytest.mark.parametrize(
    "words",
    [
        {"a": (1, 2), 3: np.float64(2.5), "nan": float("nan"), "b": np.arange(3), "c": object(), "d": np.bool_(True)},
        {"set": {1, 2}, "bytes": b"x", "type": dict, "complex": 1j},
        "a name",
        None,
    ],
    ids=["values", "types", "text", "none"],
)
def test_whatever_a_problem_says_of_itself_is_stored_and_compared(tmp_path, words):
    for steps in (2, 4):
        end = gf.solve(Describing(words), gf.SAV(), START, dt=0.1, steps=steps, checkpoint=tmp_path / "run")
        assert end.steps == steps
    with pytest.raises(ValueError, match="problem differ"):
        gf.solve(Describing("another"), gf.SAV(), START, dt=0.1, steps=6, checkpoint=tmp_path / "run")


def test_words_without_end_are_refused_before_the_run():
    words = {}
    words["words"] = words
    with pytest.raises(ValueError, match="must return JSON values"):
        gf.solve(Describing(words), gf.SAV(), START, dt=0.1, steps=2)


def test_a_hostile_config_does_not_touch_the_file(tmp_path):
    end = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2)
    before = end.save(tmp_path / "run").read_bytes()
    cycle = []
    cycle.append(cycle)
    for config in ({"a": object()}, {"a": np.ones(2)}, {(1, 2): 3}, {"a": cycle}, {"a": {1}}, [1]):
        with pytest.raises(ValueError, match="config"):
            replace(end, config=config).save(tmp_path / "run")
    for part in (
        {"history": {"a": [1, 2]}},
        {"history": {"a": np.ones(2), "b": np.ones(3)}},
        {"state": None},
        {"status": "x"},
    ):
        with pytest.raises(ValueError, match=next(iter(part))):
            replace(end, **part).save(tmp_path / "run")
    assert (tmp_path / "run.npz").read_bytes() == before


def test_a_state_that_cannot_be_stored_is_refused_before_the_run(tmp_path):
    class Odd(TwoStep):
        def init(self, problem, theta):
            return Foreign(theta, ({1, 2},))

    with pytest.raises(ValueError, match="state/past/0 must be an array"):
        gf.solve(parabola(), Odd(), START, dt=0.1, steps=2, checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the process


def child(*arguments):
    """Start this file as a program."""
    root = Path(gf.__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for n in range(KILLS):
        scheme, path = SCHEMES[n % len(SCHEMES)], tmp_path / f"{n}"
        with child("run", n % len(SCHEMES), path) as process:
            process.stdout.readline()  # the first save is done
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        kept = gf.Solution.load(path)
        found.append(kept.steps)
        resumed = run(scheme, path, kept.steps + 3)
        whole = run(scheme, None, kept.steps + 3)
        assert bits(resumed.state) == bits(whole.state), scheme
        assert bits(resumed.history) == bits(whole.history), scheme
        names = sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(f"{n}.npz"))
        assert names == [f"{n}.npz", f"{n}.npz.previous"]
    print(f"{KILLS} killed after {min(found)} to {max(found)} saves: {KILLS} went on to the same bits")


def test_a_terminated_run_is_stored_and_its_file_is_refused_to_others(tmp_path):
    scheme, path = SCHEMES[2], tmp_path / "run"
    with child("run", 2, path) as process:
        process.stdout.readline()
        with pytest.raises(ValueError, match=r"run\.npz is in use"):
            run(scheme, path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert process.stdout.read() == ""
    kept = gf.Solution.load(path)
    assert kept.status is gf.Status.STOPPED
    assert kept.message == f"terminated after step {kept.steps}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.npz.previous"]
    resumed, whole = run(scheme, path, kept.steps + 3), run(scheme, None, kept.steps + 3)
    assert bits(resumed.state) == bits(whole.state)


def test_a_second_termination_ends_the_process_at_once(tmp_path):
    with child("slow", tmp_path / "run") as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("dt", [0.1, lambda n: 0.1 / (1 + n)], ids=["number", "function"])
def test_an_interruption_at_any_line_finds_a_step_taken_or_not_taken(dt):
    """The state, the number of steps and the hash of their sizes in a returned or stored result belong together."""
    loop = sys.modules["gradflow.run.loop"].__file__
    problem, scheme, steps = parabola(), gf.HeavyBall(), 3
    whole = [gf.solve(problem, scheme, START, dt=dt, steps=n) for n in range(steps + 1)]
    left, n, returned, old = [0], 0, 0, sys.gettrace()

    def trace(frame, event, _):
        if frame.f_code.co_filename != loop:
            return None
        left[0] -= event == "line"
        if left[0] == 0:
            raise KeyboardInterrupt
        return trace

    while left[0] <= 0:  # until no line is left
        n += 1
        left[0] = n
        try:
            sys.settrace(trace)
            end = gf.solve(problem, scheme, START, dt=dt, steps=steps, on_interrupt="return")
        except KeyboardInterrupt:  # before or after the steps
            continue
        finally:
            sys.settrace(old)
        returned += end.status is gf.Status.STOPPED
        assert bits(end.state) == bits(whole[end.steps].state)
        assert bits(end.history) == bits(whole[end.steps].history)
        assert end.resume["sizes"] == whole[end.steps].resume["sizes"]
    assert returned > 20


def test_a_full_disk_costs_the_file_but_not_the_result(tmp_path):
    with child("full", tmp_path / "run") as process:
        said = process.stdout.read()
    assert process.returncode == 0
    assert "60 steps, done, RuntimeWarning: the run could not be stored" in said
    assert "File too large" in said
    assert gf.Solution.load(tmp_path / "run").steps == 3
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_a_handler_of_the_program_is_left_alone(tmp_path):
    mine = lambda number, frame: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Checkpoint(tmp_path / "run"):
            assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with Checkpoint(tmp_path / "run"):
            assert signal.getsignal(signal.SIGTERM) not in (mine, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with Checkpoint(None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_termination_leaves_the_context_by_system_exit(tmp_path):
    def run_until_terminated():
        with Checkpoint(tmp_path / "run") as store:
            os.kill(os.getpid(), signal.SIGTERM)
            assert store.terminated

    with pytest.raises(SystemExit) as ending:
        run_until_terminated()
    assert ending.value.code == 143
    assert list(tmp_path.iterdir()) == []


def test_one_file_one_run_in_one_process_too(tmp_path):
    with Checkpoint(tmp_path / "run"):
        left, theirs = "run.npz.0123abcd.part", ["run.npz.2.npz.0123abcd.part", "run.npz.0.part", "run.npz.x.part"]
        (tmp_path / left).write_text("of a killed process")
        for name in theirs:  # of runs kept in run.npz.2.npz and elsewhere
            (tmp_path / name).write_text("of another run")
        with pytest.raises(ValueError, match="in use"), Checkpoint(tmp_path / "run"):
            pass
        assert (tmp_path / left).exists()
    with Checkpoint(tmp_path / "run"):
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["run.npz.lock", *theirs])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(theirs)


@pytest.mark.parametrize("place", ["iterdir", "stat", "flock", "signal", "unlink"])
def test_an_interruption_while_the_lock_is_taken_or_given_back_leaves_none(tmp_path, monkeypatch, place):
    from gradflow.run import checkpoint

    calls = []

    def interrupt(*_, **__):
        calls.append(place)
        raise KeyboardInterrupt

    owner = {"flock": checkpoint.fcntl, "signal": signal}.get(place, Path)
    before, handler = len(os.listdir("/dev/fd")), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(owner, place, interrupt)
        with pytest.raises(KeyboardInterrupt), Checkpoint(tmp_path / "run"):
            pass
    if place == "signal":
        signal.signal(signal.SIGTERM, handler)
    assert calls
    assert len(os.listdir("/dev/fd")) == before
    assert signal.getsignal(signal.SIGTERM) == handler
    assert gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2, checkpoint=tmp_path / "run").steps == 2
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_many_runs_at_once_take_turns_or_are_refused(tmp_path):
    inside, most, errors = [0], [0], []

    def enter():
        for _ in range(50):
            try:
                with Checkpoint(tmp_path / "run"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(1e-4)
                    inside[0] -= 1
            except ValueError as error:
                errors.append("in use" in str(error))

    workers = [threading.Thread(target=enter) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1]
    assert all(errors)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_outlives_a_change_of_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    gf.solve(
        parabola(),
        gf.SAV(),
        START,
        dt=0.1,
        steps=2,
        checkpoint="run",
        callback=lambda n, s: os.chdir("elsewhere") if n == 1 else None,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "run.npz"]


# ---------------------------------------------------------------- reading a result


def test_a_converged_run_is_good(tmp_path):
    end = replace(gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=2), status=gf.Status.CONVERGED)
    assert end.check() is end
    assert gf.Solution.load(end.save(tmp_path / "run")).status is gf.Status.CONVERGED
    longer = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=5)
    _, table = spread_table([end, longer], "step", "energy")
    assert np.array_equal(table[0, 2:], np.full(4, end.history["energy"][-1]))


def test_a_solution_is_shown_in_a_few_lines():
    rng = np.random.default_rng(0)
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t, mass=np.ones(9000))
    solution = gf.solve(problem, gf.Relaxed(gf.SAV()), rng.standard_normal(9000), dt=0.1, steps=1000)
    for text in (repr(solution), solution.summary()):
        assert len(text) < 1000
        assert text.count("\n") < 12
    assert "done after 1000 steps" in repr(solution)
    said = replace(solution, warnings=("look out",), rejected=4, best=Best(solution.theta, 0.25, 17)).summary()
    for words in (
        "Relaxed(base=SAV(C=1.0, stabilization=0.0)",
        "FunctionProblem(",
        "mass=array (9000,)",
        "done: all 1000 steps taken",
        "1000, 4 rejected",
        f"first {solution.history['energy'][0]:.6g}",
        f"last {solution.history['energy'][-1]:.6g}",
        "lowest 0.25 after step 17",
        "look out",
    ):
        assert words in said
    assert "lowest" in solution.summary()


def test_a_summary_of_next_to_nothing():
    bare = gf.Solution(START, gf.FlowState(START), {}, gf.Status.DONE, "", {}, 0, 0.0, 0.0)
    assert "not recorded" in bare.summary()
    assert "FlowState" in repr(bare)


def test_the_history_as_a_table(tmp_path):
    solution = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3, record=["energy", ("a, b", lambda s: s.theta[0])])
    path = solution.to_csv(tmp_path / "sub" / "history.csv")
    assert path == tmp_path / "sub" / "history.csv"
    first, *rows = path.read_text().splitlines()
    assert first == 'step,epoch,time,energy,"a, b"'
    table = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert np.array_equal(table, np.column_stack(list(solution.history.values())))
    assert rows[0].startswith("0,0.0,0.0,")


def test_the_history_as_a_data_frame(monkeypatch):
    solution = gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=3)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match="pip install pandas"):
        solution.to_pandas()
    monkeypatch.undo()
    pytest.importorskip("pandas")
    frame = solution.to_pandas()
    assert frame.index.name == "step"
    assert list(frame.columns) == ["epoch", "time", "energy", "modified_energy"]
    assert np.array_equal(frame["energy"].to_numpy(), solution.history["energy"])


# ---------------------------------------------------------------- this file as a program


def main(task, *arguments):
    loop = sys.modules["gradflow.run.loop"]
    if task == "run":
        loop.CHECKPOINT_SECONDS = -1.0
        n, path = int(arguments[0]), arguments[1]
        say = lambda step, state: print("saved", flush=True) if step == 2 else None  # noqa: E731
        run(SCHEMES[n], path, 100_000, callback=say)
    elif task == "slow":
        say = lambda step, state: (print("in a step", flush=True), time.sleep(60))  # noqa: E731
        gf.solve(parabola(), gf.SAV(), START, dt=0.1, steps=10, checkpoint=arguments[0], callback=say)
    elif task == "full":
        import resource
        import warnings

        path = arguments[0]
        settings = {"dt": 0.1, "checkpoint": path}
        gf.solve(parabola(), gf.SAV(), START, steps=3, **settings)
        loop.CHECKPOINT_SECONDS = -1.0
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            end = gf.solve(parabola(), gf.SAV(), START, steps=60, **settings)
        assert end.warnings == (str(caught[0].message),)
        print(f"{end.steps} steps, {end.status}, {caught[0].category.__name__}: {caught[0].message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
