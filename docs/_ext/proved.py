"""Directives that say what is proved and what is not true, from the derivations and the ledger themselves.

``{proved} topic``
    the checks of ``derivations/<topic>.nb.py``: what each states, how it is settled, for which sizes;
    ``:only:`` a choice of them.
``{obligations}``
    a table of all schemes: energy law, consistency, solvability.
``{claims} id ...``
    rows of the ledger, with verdict and correction; or ``:topic:`` all that the topic's derivation settles, of the
    verdicts in ``:verdicts:`` (default: all but true).
"""

import re

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from gradflow.description import escaped
from gradflow.proofs.ledger import VERDICTS
from gradflow.proofs.page import ledger_text, remark, verdict_span
from gradflow.proofs.verify import OBLIGATIONS, decisions, default_folder, load, notebook_of
from gradflow.schemes import REGISTRY

FOLDER = default_folder()


class Markdown(SphinxDirective):
    """A directive whose content is the Markdown that `lines` yields."""

    def run(self):
        self.content = StringList(list(self.lines()), source=self.get_source_info()[0])
        return self.parse_content_to_nodes()


class Proved(Markdown):
    """What a derivation shows."""

    required_arguments = 1
    option_spec = {"only": directives.unchanged_required}

    def lines(self):
        topic = self.arguments[0]
        checks = load(FOLDER, topic)
        chosen = self.options["only"].split() if "only" in self.options else list(checks)
        if unknown := [name for name in chosen if name not in checks]:
            raise self.error(f"{topic} has no check {', '.join(unknown)}")
        for name in chosen:
            one = checks[name]
            statement, scope = escaped(one.statement.rstrip("."), keep="`"), escaped(one.scope, keep="`", inside=True)
            yield f"* {statement}."
            yield f"  [`{name}`, {one.method}: {scope}]{{.scope}}"
        yield ""
        rest = len(checks) - len(chosen)
        yield f"From [derivations/{topic}.nb.py](/derivations/{topic}.nb.py)" + (
            f", which has {rest} more." if rest else "."
        )


class Obligations(Markdown):
    """What is proved about every scheme."""

    def lines(self):
        yield "| scheme | obligation | statement | shown for |"
        yield "|---|---|---|---|"
        for name, scheme in REGISTRY.items():
            topic = notebook_of(scheme)
            checks = load(FOLDER, topic)
            first = f"[{name}](/derivations/{topic}.nb.py)"
            for key in OBLIGATIONS:
                one = checks[key]
                texts = (escaped(text, keep="`", inside=True) for text in (one.statement.rstrip("."), one.scope))
                statement, scope = (
                    re.sub(r"(?<!\\)\|", r"\\|", text) for text in texts
                )  # a bar in code ends the cell, too
                yield f"| {first} | {key.replace('_', ' ')} | {statement} | {scope} |"
                first = ""


class Claims(Markdown):
    """What source documents claim."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = {"topic": directives.unchanged_required, "verdicts": directives.unchanged_required}

    def lines(self):
        ledger = {one.claim.id: one for one in decisions(FOLDER)}
        if self.arguments:
            names = self.arguments[0].split()
            if unknown := [name for name in names if name not in ledger]:
                raise self.error(f"no claim is called {', '.join(unknown)}")
            chosen = [ledger[name] for name in names]
        else:
            verdicts = [v.strip() for v in self.options.get("verdicts", ", ".join(VERDICTS[1:])).split(",")]
            if unknown := [v for v in verdicts if v not in VERDICTS]:
                raise self.error(f"no verdict is called {', '.join(unknown)}")
            topics = self.options.get("topic", "").split()
            chosen = [
                one
                for one in ledger.values()
                if one.verdict in verdicts and any(topic in topics for topic, _ in one.checks)
            ]
        if not chosen:
            raise self.error("no claim fits")
        for one in chosen:
            claim = one.claim
            told = f" {ledger_text(text, inside=True)}" if (text := remark(one)) else ""
            yield f"* *{ledger_text(claim.statement, inside=True)}.* {verdict_span(one.verdict)}{told} ([{claim.id}](#claim-{claim.id.lower()}))"


def setup(app):
    """Register the directives."""
    app.add_directive("proved", Proved)
    app.add_directive("claims", Claims)
    app.add_directive("obligations", Obligations)
    return {"parallel_read_safe": True}
