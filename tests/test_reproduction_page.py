"""The reproduction page: it is what the kept results make, every text of a report is shown as it is, and gaps are refused."""

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import gradflow
from gradflow.experiments import REGISTRY, Claim, Experiment, Outcome
from gradflow.experiments.page import command, read_results, reproduction_page
from gradflow.experiments.words import headline

DOCS = Path(gradflow.__file__).parents[1] / "docs"


@dataclass(frozen=True, kw_only=True)
class Small:
    epochs: int = 10
    dt: float = 0.5
    data: str = "plain"


CLAIMS = (
    Claim("the error | falls", True, "by 2|3"),
    Claim("|q|^2 <b>rises</b>", False, "$q$ is *flat*,\nsee `a|b`"),
    Claim("nothing", None, "too short"),
)


def small(name="small", verdict="refuted: |q| [falls] (by $3$)", rows=(("a|b", "1_2"),)):
    def run(settings, context):
        context.claim()
        return Outcome(("run", "error_1"), rows, "What to know.", CLAIMS, verdict)

    full = Small()
    return Experiment(
        name=name, title=f"The title of {name}", source="A paper, Fig. 1", problem="A problem.", time="a second",
        quick_time="a second", full=full, quick=Small(epochs=2, dt=0.1), run=run,
    )  # fmt: skip


def results(folder, *experiments, quick=False, **changes):
    for experiment in experiments:
        experiment.reproduce(folder / experiment.name, quick=quick, say=lambda _: None, **changes)
    return read_results([folder], {e.name: e for e in experiments})


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def shown(cell):
    return re.sub(r"\\([^A-Za-z0-9])", r"\1", cell)


def test_every_experiment_has_kept_results():
    kept = {results.experiment.name for results in read_results([DOCS / "results"], REGISTRY)}
    assert kept == set(REGISTRY) - {"demo"}


def test_the_page_is_the_kept_results():
    page = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    made = reproduction_page(read_results([DOCS / "results"], REGISTRY))
    assert page == made, "make it anew: gradflow report docs/results > docs/reproduction.md"


@pytest.mark.parametrize("folder", sorted((DOCS / "results").iterdir()), ids=lambda folder: folder.name)
def test_kept_results_were_judged_by_what_is_fixed_now(folder):
    kept = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert kept["fixed"] == json.loads(json.dumps(dict(REGISTRY[kept["experiment"]].fixed))), "judge them anew"


def test_kept_figures_are_where_the_page_looks():
    for path in re.findall(r"\{figure\} (\S+)", (DOCS / "reproduction.md").read_text(encoding="utf-8")):
        assert (DOCS / path).read_bytes().startswith(b"\x89PNG")


def test_every_text_of_a_report_is_on_the_page_as_it_is(tmp_path):
    page = reproduction_page(results(tmp_path, small()))
    rows = [cells(line) for line in page.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {2, 3, 4}
    plain = [[shown(cell) for cell in row] for row in rows]
    for claim, word in zip(CLAIMS, ("yes", "no", "not decided"), strict=True):
        assert [claim.text, " ".join(claim.evidence.split()), word] in plain
    assert ["a|b", "1_2"] in plain
    assert ["run", "error_1"] in plain
    for text in ("A paper, Fig. 1", "A problem.", "What to know.", "|q| [falls] (by $3$)"):
        assert text in shown(page)
    assert "python " in page


def test_every_experiment_has_a_row_that_leads_to_its_section(tmp_path):
    kept = results(
        tmp_path, small("one", "reproduced, as printed"), small("two"), small("three", "not decided (why); so far")
    )
    page = reproduction_page(kept)
    links = re.findall(r"^\| \[[^]]*\]\(#(\S+)\) \|.*\| \[(.*?)\]\{", page, re.MULTILINE)
    assert links == [
        ("reproduction-one", "reproduced"), ("reproduction-two", "refuted"), ("reproduction-three", "not decided"),
    ]  # fmt: skip
    for target, _ in links:
        assert page.count(f"({target})=\n## ") == 1


def test_the_page_names_every_folder_it_was_made_of():
    for folders in (("one",), ("one", "two")):
        head = reproduction_page([], *folders).split("|")[0]
        assert all(f"`{folder}`" in head for folder in folders)


def test_results_of_other_settings_have_a_section_of_their_own(tmp_path):
    one = small()
    for name, changes in (("b", {"dt": 0.1, "epochs": 3}), ("a", {}), ("c", {"dt": 0.25})):
        one.reproduce(tmp_path / name, say=lambda _: None, **changes)
    kept = read_results([tmp_path], {one.name: one})
    assert [(r.number, dict(r.settings)["dt"]) for r in kept] == [(1, 0.5), (2, 0.25), (3, 0.1)]
    page = reproduction_page(kept)
    for number, title in enumerate(("The title of small", r"The title of small (dt = 0.25)"), start=1):
        anchor = "reproduction-small" + f"-{number}" * (number > 1)
        assert f"({anchor})=\n## {title}" in shown(page)
        assert f"[{title}](#{anchor})" in shown(page)


def test_a_figure_is_shown_if_there_is_one(tmp_path):
    (kept,) = results(tmp_path / "kept", small())
    assert kept.figure is None
    assert "{figure}" not in reproduction_page([kept])
    (tmp_path / "kept" / "small" / "small.png").touch()
    (kept,) = results(tmp_path / "kept", small())
    assert '```{figure} kept/small/small.png\n:alt: "' in reproduction_page([kept])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, "gradflow reproduce small"),
        ({"quick": True}, "gradflow reproduce small --quick"),
        ({"epochs": 7}, "gradflow reproduce small --set epochs=7"),
        ({"quick": True, "data": "a b"}, "gradflow reproduce small --quick --set 'data=a b'"),
    ],
)
def test_the_command_of_a_section_gives_its_settings(tmp_path, form, expected):
    (kept,) = results(tmp_path, small(), **form)
    assert command(kept) == expected
    words = shlex.split(expected)[3:]
    changes = dict(word.split("=", 1) for word in words if "=" in word)
    again = small().settings(quick="--quick" in words, **changes)
    assert dict(kept.settings) == vars(again)
    assert f"$ {expected}\n" in reproduction_page([kept])


def test_settings_unlike_the_full_form_are_told_once(tmp_path):
    page = reproduction_page(results(tmp_path, small(), dt=0.25))
    assert page.count("Not as in the full form") == 1
    assert "dt = 0.25 (0.5)" in page
    assert "Not as in" not in reproduction_page(results(tmp_path / "full", small()))


def test_a_run_without_a_table_has_none(tmp_path):
    assert "{dropdown}" not in reproduction_page(results(tmp_path, small(rows=())))


def broken(tmp_path, experiment):
    folder = tmp_path / "kept" / experiment.name
    results(tmp_path / "kept", experiment)
    return folder


def without_report(folder):
    (folder / "report.json").unlink()


def not_json(folder):
    (folder / "report.json").write_text("{")


def a_list(folder):
    (folder / "report.json").write_text("[]")


def no_claims(folder):
    (folder / "report.json").write_text('{"experiment": "small", "verdict": "x", "note": "", "table": []}')


def another(folder):
    (folder / "settings.json").write_text('{"experiment": "other", "settings": {}}')


def other_settings(folder):
    kept = json.loads((folder / "settings.json").read_text())
    del kept["settings"]["dt"]
    (folder / "settings.json").write_text(json.dumps(kept))


def twice(folder):
    shutil.copytree(folder, folder.parent / "copy")


def empty(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_report, "has not come to its end"),
        (not_json, "must be a JSON file"),
        (a_list, "must hold a JSON object, got list"),
        (no_claims, "must have claims"),
        (another, "one of small, got 'other'"),
        (other_settings, "another version"),
        (twice, "got two of small"),
        (empty, "has no settings.json"),
    ],
)
def test_a_folder_that_cannot_be_told_is_refused(tmp_path, change, message):
    experiment = small()
    change(broken(tmp_path, experiment))
    with pytest.raises(ValueError, match=message):
        read_results([tmp_path / "kept"], {"small": experiment})


def test_folders_are_given_one_by_one_or_together(tmp_path):
    known = {name: small(name) for name in ("one", "two")}
    together = results(tmp_path / "kept", *known.values())
    apart = read_results([tmp_path / "kept" / name for name in ("two", "one")], known)
    assert [(r.experiment.name, r.report) for r in apart] == [(r.experiment.name, r.report) for r in together]


@pytest.mark.parametrize("verdict", ["refuted", "refuted: why", "refuted (why): x", "refuted; so", "refuted, by much"])
def test_the_first_words_of_a_verdict(verdict):
    assert headline(verdict) == "refuted"
    assert headline("(odd)") == "(odd)"
