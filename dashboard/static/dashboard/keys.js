/* Keys of every page: j and k move through a list, Enter opens, g and a letter goes to a page, ? says all that.
 *
 * Ctrl+K (the palette) and / (the search of a list) are Unfold's own.
 */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const ROWS = "#result_list tbody tr, .desk-table tbody tr, .desk-cycle summary";
  const PAGES = [["o", "Overview"], ["l", "Live"], ["h", "Chart"], ["b", "Bots"], ["c", "Cycles"], ["r", "Orders"], ["d", "Divergences"], ["a", "Accounts"], ["s", "Statistics"], ["e", "Events"]];
  let going = false;
  let dialog = null;

  // What Django and Unfold name by a placeholder or a class only, no screen reader reads out. Some come late, with "load"
  function name() {
    for (const field of document.querySelectorAll("input:not([aria-label]):not([type=hidden])")) {
      const said = field.placeholder || (field.matches(".vDateField") ? "Date" : field.matches(".vTimeField") ? "Time" : "");
      if (said && ![...(field.labels || [])].some((label) => label.textContent.trim())) field.setAttribute("aria-label", said);
    }
  }
  name();
  window.addEventListener("load", name);

  const rows = () => Array.from(document.querySelectorAll(ROWS)).filter((row) => row.offsetParent !== null);

  function move(step) {
    const all = rows();
    if (all.length === 0) return;
    const at = all.findIndex((row) => row.classList.contains("is-current"));
    const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    if (at >= 0) {
      all[at].classList.remove("is-current");
      all[at].removeAttribute("aria-current");
    }
    next.classList.add("is-current");
    next.setAttribute("aria-current", "true");
    next.scrollIntoView({ block: "nearest" });
  }

  function open() {
    const row = document.querySelector("tr.is-current, summary.is-current");
    if (row === null) return false;
    const link = row.querySelector('a[href*="/change/"], a[href*="/ranking/"], a[href]') || (row.matches("summary") ? row : null);
    if (link !== null) link.click();
    return link !== null;
  }

  function go(key) {
    const page = PAGES.find(([letter]) => letter === key);
    const link = page && Array.from(document.querySelectorAll("nav a, aside a, #nav-sidebar a")).find((a) => {
      const words = Array.from(a.querySelectorAll("span")).map((span) => span.textContent.trim());
      return words.includes(page[1]) || a.textContent.trim() === page[1];
    });
    if (link) location.href = link.href;
    return Boolean(link);
  }

  function help() {
    if (dialog === null) {
      const lines = [["Ctrl K", "Search pages and rows"], ["/", "Search this list"], ["j  k", "Next and previous row"], ["Enter", "Open the row"], ...PAGES.map(([key, page]) => ["g " + key, page])];
      if (document.querySelector(".recon-do")) lines.push(["a  b  i", "Accept broker, Accept ours, Ignore"]);
      lines.push(["?", "This help"], ["Esc", "Close"]);
      dialog = document.createElement("dialog");
      dialog.className = "keys-help";
      dialog.setAttribute("aria-labelledby", "keys-title");
      const title = document.createElement("h2");
      title.id = "keys-title";
      title.textContent = "Keyboard";
      const list = document.createElement("dl");
      for (const [key, what] of lines) {
        const term = document.createElement("dt");
        for (const part of key.split(" ").filter(Boolean)) {
          const cap = document.createElement("kbd");
          cap.textContent = part;
          term.append(cap, " ");
        }
        const meaning = document.createElement("dd");
        meaning.textContent = what;
        list.append(term, meaning);
      }
      const close = document.createElement("button");
      close.type = "button";
      close.textContent = "Close";
      close.addEventListener("click", () => dialog.close());
      dialog.append(title, list, close);
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
      document.body.append(dialog);
    }
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  // An action that is off says why in its tooltip, and does nothing
  document.addEventListener("click", (event) => {
    if (event.target.closest('a[aria-disabled="true"]') === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  document.addEventListener("keydown", (event) => {
    const inDialog = event.target.closest("dialog[open]") !== null;
    if (event.target.closest("input, textarea, select, [contenteditable]") !== null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") help();
    else if (inDialog) return;
    else if (going) {
      going = false;
      if (!go(event.key)) return;
    } else if (event.key === "g") going = true;
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key !== "Enter" || event.target !== document.body || !open()) return;
    event.preventDefault();
  });
  const asked = () => location.hash === "#keys" && (history.replaceState(null, "", location.pathname + location.search), help());
  window.addEventListener("hashchange", asked);
  asked();
});
