/* The page of a backtest that waits or runs: asks how far it is, and shows the report when it is there. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("backtest-progress");
  if (!box) return;
  const ASK_MS = 1000;
  const bar = box.querySelector("progress");
  const text = box.querySelector("[data-text]");

  async function ask() {
    try {
      const answer = await fetch(box.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.redirected || answer.status === 404) return window.location.reload();
      if (answer.ok) {
        const found = await answer.json();
        if (found.is_over) return window.location.reload();
        bar.value = found.progress;
        text.textContent = found.status === "running" ? `${Math.round(found.progress * 100)} %` : found.text;
      }
    } catch {
      text.textContent = "The site does not answer; asking again …";
    }
    setTimeout(ask, ASK_MS);
    return undefined;
  }
  ask();
});
