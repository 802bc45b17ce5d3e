// Filters of the claims page: by verdict and by source. Without JavaScript the page shows everything.
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("claims-filter");
  if (!place) return;

  const claims = [...document.querySelectorAll("section section section")].flatMap((section) => {
    const verdict = section.querySelector(".verdict");
    return verdict ? [{ section, source: section.parentElement, verdict: verdict.textContent }] : [];
  });
  const sources = [...new Set(claims.map((claim) => claim.source))];
  const verdicts = [...new Set([...document.querySelectorAll("table td:first-child")].map((cell) => cell.textContent))]
    .filter((verdict) => claims.some((claim) => claim.verdict === verdict));
  const titleOf = (source) => source.querySelector("h2").firstChild.textContent;

  const form = document.createElement("form");
  form.className = "claims-filter";
  const group = (legend, entries) => {
    const fieldset = document.createElement("fieldset");
    fieldset.append(Object.assign(document.createElement("legend"), { textContent: legend }));
    for (const [text, key] of entries) {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.entry = key;
      label.append(box, ` ${text}`);
      fieldset.append(label);
    }
    form.append(fieldset);
    return () => new Set([...fieldset.querySelectorAll("input:checked")].map((box) => box.entry));
  };
  const count = (test) => claims.filter(test).length;
  const chosenVerdicts = group("Verdict", verdicts.map((v) => [`${v} (${count((c) => c.verdict === v)})`, v]));
  const chosenSources = group("Source", sources.map((s) => [`${titleOf(s)} (${count((c) => c.source === s)})`, s]));
  const shown = Object.assign(document.createElement("p"), { role: "status" });
  form.append(shown);

  const apply = () => {
    const [byVerdict, bySource] = [chosenVerdicts(), chosenSources()];
    for (const claim of claims) claim.section.hidden = !byVerdict.has(claim.verdict);
    for (const source of sources) {
      source.hidden = !bySource.has(source) || claims.every((claim) => claim.source !== source || claim.section.hidden);
    }
    const visible = count((claim) => !claim.section.hidden && !claim.source.hidden);
    shown.textContent = `${visible} of ${claims.length} claims shown.`;
  };
  // A link to a claim shows it, whatever is filtered.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const claim = target && claims.find(({ section }) => section.contains(target));
    if (claim && (claim.section.hidden || claim.source.hidden)) {
      claim.section.hidden = claim.source.hidden = false;
      target.scrollIntoView();
    }
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", reveal);
  place.replaceWith(form);
  apply();
});
