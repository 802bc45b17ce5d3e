"""What the pages are made of: copies of the derivations, and a build that notices when the package has changed.

A page that executes code, shows a docstring or tells what a check states depends on more than its own file. So the fingerprint of
the package, the derivations and these extensions is a part of the configuration: when it changes, all pages are read and all
examples run anew, and pages that were generated from what no longer exists are gone. Changes of the text alone stay quick.
"""

import hashlib
import shutil
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
MADE = ("api/generated", "gallery")


def fingerprint():
    """Return a hash of all files that pages are made of but that are no pages."""
    digest = hashlib.sha256()
    parts = (
        "gradflow/**/*.py",
        "derivations/**/*.py",
        "derivations/**/*.toml",
        "docs/_ext/*.py",
        "docs/_templates/**/*.rst",
    )
    names = (path for part in parts for path in sorted(ROOT.glob(part)))
    for path in names:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update("\0".join(sorted(path.name for path in DOCS.glob("examples/*"))).encode())
    return digest.hexdigest()


def copy_derivations():
    """Copy the derivations, which lie where they are run as proofs, to where Sphinx reads."""
    originals = {path.name: path for path in (ROOT / "derivations").glob("*.nb.py")}
    for copy in (DOCS / "derivations").glob("*.nb.py"):
        if copy.name not in originals:
            copy.unlink()
    for name, original in originals.items():
        copy = DOCS / "derivations" / name
        if not copy.exists() or copy.read_bytes() != original.read_bytes():
            shutil.copyfile(original, copy)


def setup(app):
    """Copy, clear what was made of other sources, and have Sphinx know the fingerprint."""
    copy_derivations()
    now = fingerprint()
    kept = DOCS / "derivations" / ".made-of"
    if not kept.exists() or kept.read_text() != now:
        for folder in MADE:
            shutil.rmtree(DOCS / folder, ignore_errors=True)
        kept.write_text(now)
    app.add_config_value("made_of", now, "env")
    return {"parallel_read_safe": True}
