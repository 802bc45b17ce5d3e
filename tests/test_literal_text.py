"""Texts from files: pages show them as they are, and a damaged or hostile file ends as a `ValueError` that names it."""

import copy
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradflow
from gradflow.description import MARKS, escaped
from gradflow.experiments.page import reproduction_page
from gradflow.experiments.results import read_results
from gradflow.proofs import check
from gradflow.proofs.ledger import decide, read_claims
from gradflow.proofs.page import claims_page, ledger_text
from gradflow.proofs.verify import load
from toy_figures import toy

DERIVATIONS = Path(gradflow.__file__).parents[1] / "derivations"
SECRET = "what no page shows"
PIECES = (
    "{download}`/x`", "{", "}", "`", "``", "```{include} /x", "~~~", ":::{note}", ":::", "[x](../../x)", "[", "]", "(", ")",
    "![x](/x)", "<b>", "<!--", "-->", "<http://x.y>", "[^1]", "[^1]: n", "[a]: /x", "$x$", "$", "$$", "|", "\\", "\\|", "% c",
    "(t)=", "{{ x }}", "{eval-rst}", "*", "**", "_", "__", "#", "## ", "- ", "+ ", "1. ", "1) ", "> ", "---", "===", "+++", ":a: b",
    ": d", "&amp;", "&#60;", "\\begin{equation}", "\\end{equation}", "\n", "\r\n", "\n\n", "\t", "    ", "\u2028", "\x85", "a", "b c",
    "7", "~", "@", "!", "^", "'", '"', "{#i}", "{.c}", "[x]{.y}", "[ ]", " ", "é",
)  # fmt: skip
UNPRINTABLE = ("\x00", "\x1b[31m", "\u202e", "\ud800", "\x7f", "\ufeff")
HOSTILE = (
    "{download}`/x`", "```{include} /x\n```", "x\n:::{note}\nx\n:::", "[x](../../../etc)", "<script>x</script>", "<http://x.y>",
    "[^1] x\n\n[^1]: y", "$x$ and $$y$$", "a | b \\| c", "`a", "a``b`", "x\n\n# y\n\n- z", "% x", "(x)=\ny", "{{ x }}",
    "![x](/etc/passwd)", "[x]{.y #z}", "\\begin{equation} x \\end{equation}", "x\\", "^x", "{sub-ref}`today`", "a\x00b\u202ec\x1b[2J",
    "{raw:html}`<b>`", "&lt;", "```{eval-rst}\n.. include:: /x\n```", "--set a='b...c'", "*x* __y__ ~~z~~",
)  # fmt: skip


def plain(text):
    """Return a text as a reader is to see it, on one line."""
    return " ".join(text.split())


def unescaped(markdown):
    return re.sub(r"\\([!-/:-@[-`{-~])", r"\1", markdown)


def mixtures(n, pieces=PIECES, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choice(pieces) for _ in range(draw.randint(1, 7))) for _ in range(n)]


# --- one text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True])
def test_every_mark_is_escaped_and_nothing_else_changes(inside):
    for text in (*PIECES, *mixtures(2000)):
        markdown = escaped(text, inside=inside)
        assert unescaped(markdown) == plain(text)
        assert not MARKS.search("x" + re.sub(r"\\.", "", markdown)), text
        assert not markdown.startswith("^")
        assert "\n" not in markdown


def test_what_cannot_be_printed_is_replaced():
    for text in UNPRINTABLE:
        shown = escaped(f"a{text}b")
        assert "\ufffd" in shown
        assert shown.isprintable()
        shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "keep", "expected"),
    [
        ("`a_b` is a_b", "`", r"`a_b` is a\_b"),
        ("`a_b` is a_b", "", r"\`a\_b\` is a\_b"),
        ("{download}`x`", "`", r"\{download\}`x`"),
        ("`x`{.c}", "`", r"`x`\{.c\}"),
        ("``{a}`b`", "`", r"\`\`\{a\}`b`"),
        ("$a_b$ is a_b", "`$", r"$a_b$ is a\_b"),
        ("$a_b$", "`", r"\$a\_b\$"),
        ("5 $ and 6 $", "$", r"5 \$ and 6 \$"),
        ("$x\\$ y", "$", r"\$x\\\$ y"),
        ("$a `b$ c`", "`$", r"\$a `b$ c`"),
        ("$$x$$", "$", r"\$$x$\$"),
    ],
)
def test_code_and_formulas_stay_where_they_are_wanted(text, keep, expected):
    assert escaped(text, keep=keep) == expected


def parser():
    pytest.importorskip("myst_parser")
    from myst_parser.config.main import MdParserConfig
    from myst_parser.mdit_to_docutils.base import DocutilsRenderer
    from myst_parser.parsers.mdit import create_md_parser

    known = {"amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"}
    more = {"html_admonition", "html_image", "strikethrough", "substitution", "tasklist"}  # not on the site today
    return create_md_parser(MdParserConfig(enable_extensions=known | more), DocutilsRenderer)


def walk(tokens):
    for token in tokens:
        yield token
        yield from walk(token.children or ())


def text_of(tokens):
    return "".join(t.content for t in walk(tokens) if t.type in ("text", "text_special", "code_inline", "math_inline"))


PLACES = {
    "{}": "{}", "* {}": "{}", "Source: {}.": "Source: {}.", "| {} | y |\n| --- | --- |\n| x | {} |": "{0}yx{0}", "## {}": "{}",
    "**V: [{}]{{.v}}** {}": "V: {0} {0}", "[{}](#a)": "{}",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_myst_shows_the_text_and_finds_no_other_element(place):
    md, n = parser(), place.count("{}")
    kinds = {t.type for t in walk(md.parse(place.format(*["x"] * n)))} | {"text_special"}
    for text in (*PIECES, *mixtures(400, (*PIECES, *UNPRINTABLE[:3]))):
        tokens = md.parse(place.format(*[escaped(text, inside=not place.endswith("{}") or len(place) > 4)] * n))
        assert {t.type for t in walk(tokens)} <= kinds, text
        seen = re.sub("[\x00\x1b\u202e]", "\ufffd", plain(text))
        assert text_of(tokens).strip() == PLACES[place].format(*[seen] * n).strip(), text


def test_myst_shows_texts_of_the_ledger_with_code_and_formulas():
    md = parser()
    for text in (*PIECES, *mixtures(2000)):
        tokens = md.parse(ledger_text(text))
        kinds = {t.type for t in walk(tokens)}
        assert kinds <= {
            "paragraph_open", "paragraph_close", "inline", "text", "text_special", "code_inline", "math_inline"
        }, text  # fmt: skip
        for token in walk(tokens):
            if token.type in ("code_inline", "math_inline"):
                assert token.content in plain(text)


# --- pages -------------------------------------------------------------------------------------------------------


def kept(folder, text="x", **changes):
    """Write results of a figure whose texts are `text`, and return their folder."""
    toy(text=text).reproduce(folder / "small", say=lambda _: None, **changes)
    return folder / "small"


def read(folder, text="x"):
    return read_results([folder], {"small": toy(text=text)})


def page_of(folder, text="x"):
    return reproduction_page(read(folder, text))


def with_version(folder, text):
    rewritten(folder, "claims.json", lambda document: document.update(versions={text: text}))


def test_a_page_of_hostile_texts_is_built_as_one_of_plain_words(tmp_path):
    """The elements of the page are those of the page whose texts are words."""
    md = parser()

    def elements(n, text, data):
        with_version(kept(tmp_path / f"{n}", text, data=data), text)
        tokens = md.parse(page_of(tmp_path / f"{n}", text))
        return [t.type for t in walk(tokens) if t.type not in ("text", "text_special")], text_of(tokens)

    wanted, _ = elements(0, "word", "word")
    for n, text in enumerate(HOSTILE, start=1):
        data = " ".join(c for c in plain(text).split() if c.isprintable()) + " z"
        found, seen = elements(n, text, data)
        assert found == wanted, text
        assert re.sub("[\x00\x1b\u202e]", "\ufffd", plain(text)) in seen


def test_sphinx_takes_nothing_from_outside(tmp_path):
    """The site of hostile results and a hostile ledger: no warning, no file, no link, no command from a text."""
    for name in ("myst_parser", "sphinx_design"):
        pytest.importorskip(name)
    source = tmp_path / "source"
    source.mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    texts = [text.replace("/x", str(secret)) for text in HOSTILE]
    for n, text in enumerate(texts):
        with_version(kept(source / "results" / f"{n}", text), text)
        page = re.sub(r"```\{figure\}[^`]*```", "", page_of(source / "results" / f"{n}", text))
        (source / f"page{n}.md").write_text(f"---\norphan: true\n---\n{page.replace('reproduction-small', f'r-{n}')}")
    (source / "ledger").mkdir()
    rows = [
        {**ROW, "id": f"C{n}", "statement": plain(text), "place": plain(text), "corrected": "y"}
        for n, text in enumerate(texts)
        if plain(text).isprintable()
    ]
    rows = [row for row in rows if "equation" not in row["statement"]]
    write_ledger(source / "ledger", {"source": "{download}`" + str(secret) + "`", "claim": rows})
    (source / "claims.md").write_text(
        claims_page(settled(source / "ledger")).replace("/derivations/sav.nb.py", "#claims")
    )
    (source / "index.md").write_text("# Index\n\n```{toctree}\nclaims\n```\n")
    (source / "conf.py").write_text(
        "extensions = ['myst_parser', 'sphinx_design']\nsmartquotes = False\nsuppress_warnings = ['myst.xref_missing']\n"
        "myst_enable_extensions = ['amsmath', 'attrs_block', 'attrs_inline', 'colon_fence', 'deflist', 'dollarmath', 'fieldlist']\n"
        "myst_heading_anchors = 3\nexclude_patterns = ['results']\n"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-n", str(source), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (out / "_downloads").exists()
    assert not (out / "_images").exists()
    for file in out.rglob("*"):
        if file.is_file() and file.suffix not in (".pickle", ".doctree"):
            assert SECRET.encode() not in file.read_bytes(), file
    for n in range(len(texts)):
        html = (out / f"page{n}.html").read_text(encoding="utf-8")
        body = html[html.index("<section") : html.rindex("</section>")]
        assert not re.search(r"<script|<img|href=\"(?!#)|\x1b|\u202e", body), texts[n]
    assert "--set a='b...c'" in (out / f"page{HOSTILE.index(HOSTILE[-2])}.html").read_text(encoding="utf-8")


def test_the_site_leaves_dashes_and_quotes_as_they_are():
    """Sphinx would print ``--set`` with a dash in the place of two hyphens."""
    conf = (DERIVATIONS.parent / "docs" / "conf.py").read_text(encoding="utf-8")
    assert re.search(r"^smartquotes = False\b", conf, re.MULTILINE)


# --- damaged results ---------------------------------------------------------------------------------------------


VALUES = (
    None,
    True,
    False,
    0,
    -1,
    2.5,
    10**400,
    "",
    " ",
    "x",
    "../x",
    "a\nb",
    "\x1b",
    [],
    ["x"],
    [[]],
    {},
    {"x": 1},
    {"text": 3},
)


def places(document):
    """Yield every container of a document with its keys."""
    if isinstance(document, (dict, list)):
        yield from ((document, key) for key in (document if isinstance(document, dict) else range(len(document))))
        for value in document.values() if isinstance(document, dict) else document:
            yield from places(value)


def damage(document, draw):
    """Return a copy with one to three values replaced, removed, added or doubled."""
    document = {"whole": copy.deepcopy(document)}
    for _ in range(draw.randint(1, 3)):
        options = list(places(document))
        if not options:
            break
        container, key = draw.choice(options)
        kind = draw.choice(("replace", "replace", "remove", "add", "double"))
        if kind == "replace" or container is document:
            container[key] = copy.deepcopy(draw.choice(VALUES))
        elif kind == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw.choice(("x", "text", "../x", "holds"))] = copy.deepcopy(draw.choice(VALUES))
        else:
            container.append(copy.deepcopy(draw.choice(VALUES)) if kind == "add" else copy.deepcopy(container[key]))
    return document["whole"]


def test_a_thousand_damaged_results(tmp_path):
    """Each is refused by a ValueError that names the folder, or makes a page."""
    folder, draw, refused = kept(tmp_path), random.Random(1), []
    files = {name: (folder / name).read_bytes() for name in ("claims.json", "curves.npz")}
    for n in range(1000):
        name = draw.choice(list(files)[: 1 + (n % 5 == 0)])
        if n % 5:
            content = json.dumps(damage(json.loads(files[name]), draw)).encode()
        else:
            cut = draw.randrange(len(files[name]))
            content = (
                files[name][:cut]
                + draw.choice((b"", b"\xff", b"{", b"[", b"NaN", b'"'))
                + files[name][cut + draw.randint(0, 9) :]
            )
        for other, good in files.items():
            (folder / other).write_bytes(content if other == name else good)
        try:
            page_of(tmp_path)
        except ValueError as error:
            refused.append(str(error))
    assert 500 < len(refused) < 1000
    assert all(str(folder) in message for message in refused)


def rewritten(folder, name, change):
    document = json.loads((folder / name).read_text(encoding="utf-8"))
    change(document)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(settings=[]), r"settings that small has not"),
        (lambda d: d.update(versions="x"), r"versions must be a mapping of texts to texts, got 'x'"),
        (lambda d: d.update(versions={"numpy": 2}), r"versions must be a mapping"),
        (lambda d: d.pop("versions"), r"must have figure, settings"),
        (lambda d: d.update(more=1), r"must have figure, settings"),
        (lambda d: d.update(figure=["small"]), r"it is of list of length 1"),
        (lambda d: d.update(figure="other"), r"it is of 'other'"),
        (lambda d: d.update(seconds=-1), r"seconds must be a finite number >= 0, got -1"),
        (lambda d: d.update(seconds=True), r"seconds must be a finite number >= 0, got True"),
        (lambda d: d.update(claims={}), r"must hold the claims that follow from curves.npz"),
        (lambda d: d["claims"].append("x"), r"must hold the claims that follow from curves.npz"),
        (lambda d: d["claims"][0].update(values=[1.0, 1.0]), r"must hold the claims that follow from curves.npz"),
        (lambda d: d["settings"].update(size="1"), r"must hold the settings epochs"),
        (lambda d: d["settings"].update(size=True), r"size must be of type float, got True"),
        (lambda d: d["settings"].update(size=-1.0), r"size must be > 0"),
        (lambda d: d["settings"].update(epochs=1.5), r"epochs must be of type int, got 1.5"),
        (lambda d: d["settings"].update(fine=1), r"fine must be of type bool, got 1"),
        (lambda d: d["settings"].update(quick=True), r"must hold the settings epochs"),
        (lambda d: d["settings"].pop("data"), r"must hold the settings epochs"),
        (lambda d: d["settings"].update(data="a\n```\nb"), r"must hold the settings epochs"),
        (lambda d: d["settings"].update(size=float("nan")), r"NaN is not a number of JSON"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(tmp_path, change, message):
    folder = kept(tmp_path)
    rewritten(folder, "claims.json", change)
    with pytest.raises(ValueError, match=message) as refusal:
        read(tmp_path)
    assert str(folder / "claims.json") in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe{}", "must be a JSON file that can be read: 'utf-8' codec"),
        (b"[" * 100_000, "must be a JSON file"),
        (b'{"a":' * 100_000, "must be a JSON file"),
        (b'{"a": Infinity}', "Infinity is not a number"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "must be a JSON file"),
        (b"", "must be a JSON file"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path, content, message):
    folder = kept(tmp_path)
    (folder / "claims.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("name", ["claims.json", "curves.npz"])
def test_nothing_outside_of_the_folder_is_read(tmp_path, name):
    folder = kept(tmp_path / "results")
    outside = tmp_path / name
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name} must be a file within"):
        read(tmp_path / "results")
    outside.unlink()
    with pytest.raises(ValueError, match=r"must be a file within|has no claims.json"):
        read(tmp_path / "results")
    (folder / name).unlink()
    os.mkfifo(folder / name)  # which is not waited for
    with pytest.raises(ValueError, match="must be a file within"):
        read(tmp_path / "results")


def test_a_folder_that_is_a_link_out_of_the_one_given_is_refused(tmp_path):
    folder = kept(tmp_path / "elsewhere")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small").symlink_to(folder)
    with pytest.raises(ValueError, match="must be a file within"):
        read(tmp_path / "results")
    assert len(read(tmp_path / "results" / "small")) == 1  # the user gave the link


@pytest.mark.parametrize("name", ["a b", "a\nb", "data:image", "a*b", "a`b", "{a}", "a?b", "a#b"])
def test_a_folder_that_no_directive_can_name_is_refused(tmp_path, name):
    kept(tmp_path / name)
    with pytest.raises(ValueError, match="must be a path of letters"):
        read(tmp_path / name)


# --- damaged ledgers ---------------------------------------------------------------------------------------------


ROW = {"id": "C1", "place": "p. 1", "statement": "x = x"}


@check("identity", "`x`", proves=[f"C{n}" for n in (0, 1, *range(3, 100))], refutes=("C2",))
def settles():
    """`x` = $x$."""


def settled(folder):
    return decide(read_claims(folder), {"sav": {"settles": settles}})


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return '""' if value is None else json.dumps(value, ensure_ascii=False)


def write_ledger(folder, document):
    (folder / "a.toml").write_text("".join(f"{key} = {toml(v)}\n" for key, v in document.items()), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "C1\n# x"}, "id must be one printable line"),
        ({"id": "C1)=("}, "an id has letters, digits and single hyphens"),
        ({"id": "../C1"}, "an id has letters, digits and single hyphens"),
        ({"id": 1}, "id must be one printable line of text, got 1"),
        ({"id": ["a"]}, "id must be one printable line of text, got list"),
        ({"place": {}}, "place must be one printable line of text, got dict"),
        ({"place": ""}, "has a place and a statement"),
        ({"statement": "a\nb"}, "statement must be one printable line"),
        ({"statement": "a\x1b[2J"}, "statement must be one printable line"),
        ({"statement": "a\u202eb"}, "statement must be one printable line"),
        ({"verdict": "true"}, "unexpected keyword argument 'verdict'"),
        ({"same_as": "C7"}, "same_as must be a row that stands for itself, got 'C7'"),
        ({"same_as": "C1"}, "same_as must be a row that stands for itself, got 'C1'"),
        ({"same_as": []}, "same_as must be one printable line of text, got list"),
        ({"printed": "x $$ y"}, "one formula, without dollar signs"),
        ({"printed": r"\href{javascript:x}{y}"}, r"must only typeset, got \\href"),
        ({"corrected": r"$\style{color:red}{y}$"}, r"must only typeset, got \\style"),
        ({"reason": r"$\input{/etc/passwd}$"}, r"must only typeset, got \\input"),
        ({"extra": "x"}, "unexpected keyword argument 'extra'"),
    ],
)
def test_a_row_that_could_do_more_than_claim_is_refused(tmp_path, change, message):
    write_ledger(tmp_path, {"source": "A document", "claim": [{**ROW, **change}]})
    with pytest.raises(ValueError, match=message) as refusal:
        read_claims(tmp_path)
    assert "a.toml" in str(refusal.value) or "same_as" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'source = "\xff"', "a.toml must be a TOML file: 'utf-8' codec"),
        (b"source = ", "a.toml must be a TOML file"),
        (b"a = " + b"[" * 100_000, "a.toml must be a TOML file"),
        (b"source = 3\nclaim = [{}]", "a.toml: source must be one printable line of text, got 3"),
        (b'source = "x"\nclaim = 3', "a.toml: claim must be a list of tables, got 3"),
        (b'source = "x"\nclaim = ["y"]', "a.toml, claim 1 must be a table, got 'y'"),
        (b'source = "x"\n[claim]\na = 1', "a.toml: claim must be a list of tables, got dict"),
        (b'source = "x"\n[[claim]]', "a.toml, claim 1.*missing"),
        (b"claim = []", "a.toml does not name its source"),
        (b'source = "x"', "no claims in"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_claims(tmp_path)


def test_no_ledger_or_derivation_outside_of_its_folder_is_read(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    write_ledger(tmp_path, {"source": "A document", "claim": [ROW]})
    (inside / "a.toml").symlink_to(tmp_path / "a.toml")
    with pytest.raises(ValueError, match=r"a.toml must be a TOML file: it must be a file within its folder"):
        read_claims(inside)
    (tmp_path / "x.nb.py").write_text("raise SystemExit('run')\n")
    (inside / "x.nb.py").symlink_to(tmp_path / "x.nb.py")
    for topic in ("x", "../x", "absent"):
        with pytest.raises(ValueError, match="must be a derivation in"):
            load(inside, topic)


def test_a_thousand_damaged_ledgers(tmp_path):
    """Each is refused by a ValueError, or makes a page."""
    draw, refused = random.Random(2), 0
    second = {**ROW, "id": "C2", "corrected": "$x$ is `y`", "printed": "x"}
    good = {"source": "A document", "claim": [ROW, second]}
    for _ in range(1000):
        document = damage(good, draw)
        (tmp_path / "a.toml").unlink(missing_ok=True)
        write_ledger(tmp_path, document if isinstance(document, dict) else {"whole": document})
        try:
            claims_page(settled(tmp_path))
        except ValueError:
            refused += 1
    assert 500 < refused < 1000
