/* The journal's tail: events as they happen, to the millisecond; paused, they wait and are counted. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { make, text, field, row, list } = Show;
  const by = (id) => document.getElementById(id);
  const KEPT = 500;
  const SHOWN = 100;
  const LEVELS = ["info", "warning", "error"];
  const KINDS = { info: "info", warning: "warning", error: "danger" };
  const EVENT = [["at", "Time", "desk-number"], ["level", "Level", ""], ["account", "Account", ""], ["kind", "Kind", ""], ["text", "What", "desk-wide"]];
  const kept = new Map();
  let upTo = null;
  let started = false;

  function newEvent(event) {
    const element = row(EVENT);
    const account = Desk.store.accounts.get(event.account);
    text(field(element, "at"), event.at.slice(11, 23).replace(/[Z+].*/, ""));
    text(field(element, "level"), event.level);
    field(element, "level").className = "desk-value desk-badge desk-badge-" + (KINDS[event.level] || "info");
    text(field(element, "account"), account ? account.name : "");
    text(field(element, "kind"), event.kind);
    text(field(element, "text"), event.text);
    return element;
  }

  function render(store) {
    Show.freshness();
    for (const event of store.events) kept.set(event.id, event);
    for (const id of [...kept.keys()].sort((a, b) => a - b).slice(0, Math.max(0, kept.size - KEPT))) kept.delete(id);
    const accounts = [...store.accounts.values()];
    list(by("tail-account"), [{ id: "", name: "all" }, ...accounts], (one) => "a" + one.id, () => make("option"), (option, one) => {
      option.value = String(one.id);
      text(option, one.name);
    });
    const least = Number(by("tail-level").value);
    const only = by("tail-account").value;
    const wanted = [...kept.values()].filter((event) => LEVELS.indexOf(event.level) >= least && (only === "" || String(event.account) === only)).sort((a, b) => b.id - a.id);
    const waiting = upTo === null ? 0 : wanted.filter((event) => event.id > upTo).length;
    text(by("tail-pause"), upTo === null ? "Pause" : "Go on" + (waiting ? " (" + waiting + " new)" : ""));
    const shown = wanted.filter((event) => upTo === null || event.id <= upTo).slice(0, SHOWN);
    list(by("tail-events"), shown, (event) => event.id, newEvent, () => {});
    by("tail-empty").hidden = shown.length > 0;
  }

  by("tail-pause").addEventListener("click", () => {
    upTo = upTo === null ? Math.max(0, ...kept.keys()) : null;
    by("tail-pause").setAttribute("aria-pressed", String(upTo !== null));
    render(Desk.store);
  });
  for (const id of ["tail-level", "tail-account"]) by(id).addEventListener("change", () => render(Desk.store));
  // Nothing is asked of the site until somebody looks
  by("tail").addEventListener("toggle", () => {
    if (started || !by("tail").open) return;
    started = true;
    Desk.start(render);
  });
});
