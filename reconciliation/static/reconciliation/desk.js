/* Keys of the divergence desk: j and k move, a, b and i open the row's dialogs, Enter opens its page. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const rows = Array.from(document.querySelectorAll("#result_list tr")).filter((row) => row.querySelector(".recon-do"));
  let at = -1;

  function show(next) {
    if (rows.length === 0) return;
    if (at >= 0) rows[at].classList.remove("is-current");
    at = Math.min(rows.length - 1, Math.max(0, next));
    rows[at].classList.add("is-current");
    rows[at].scrollIntoView({ block: "nearest" });
  }

  function press(key) {
    const button = at >= 0 ? rows[at].querySelector(`.recon-do [data-key="${key}"]`) : null;
    if (button !== null) button.click();
  }

  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, textarea, select, [contenteditable], dialog") !== null;
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") show(at + 1);
    else if (event.key === "k") show(at - 1);
    else if ("abi".includes(event.key)) press(event.key);
    else if (event.key === "Enter" && at >= 0 && event.target === document.body) rows[at].querySelector('a[href*="/change/"]')?.click();
    else return;
    event.preventDefault();
  });
});
