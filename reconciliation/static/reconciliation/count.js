/* Keeps the sidebar's count of waiting divergences fresh, on every page of the admin. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MS = 10000;
  const link = document.querySelector('#nav-sidebar-apps a[href$="/reconciliation/divergence/"]');
  if (link === null) return;
  const badge = link.querySelector("[data-divergences]");

  async function look() {
    if (document.hidden || badge === null) return;
    try {
      const answer = await fetch(link.getAttribute("href") + "count/", { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return;
      const found = await answer.json();
      badge.textContent = found.open;
      badge.hidden = found.open === 0;
      for (const total of document.querySelectorAll("[data-divergences-total]")) total.textContent = found.open;
      badge.title = `${found.open} waiting, ${found.critical} critical`;
    } catch {
      badge.title = "The count can't be read now";
    }
  }

  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
});
