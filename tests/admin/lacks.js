/* What a person who can't see the page, or uses no mouse, would miss on it; each finding names its element. */
() => {
  const found = [];
  const seen = (e) =>
    e.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true })
    && e.closest("[aria-hidden=true], [x-cloak], template") === null;
  const said = (e) => (e.getAttribute("aria-label") || e.getAttribute("title") || e.getAttribute("alt") || "").trim()
    || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("").trim();
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!seen(e)) continue;
    const named = said(e) || [...(e.labels || [])].some((label) => label.textContent.trim()) || (e.matches("[type=submit], [type=button]") && e.value);
    if (!named) found.push("no label: " + e.outerHTML.slice(0, 120));
  }
  for (const e of document.querySelectorAll("button, a[href], summary")) {
    if (seen(e) && !(e.textContent.trim() || said(e) || [...e.querySelectorAll("img, svg, [title]")].some(said))) found.push("no name: " + e.outerHTML.slice(0, 120));
  }
  for (const e of document.querySelectorAll("img:not([alt])")) found.push("no alt: " + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) found.push("own focus order: " + e.outerHTML.slice(0, 120));
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.trim()) found.push("no title");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, n) => id && ids.indexOf(id) !== n))) found.push("twice: #" + id);
  return found;
}
