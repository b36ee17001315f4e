/* The trading of one account, or of one bot on it: figures, positions, exposure; charts of equity and of days. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { text, tick, field, row, list, make } = Show;
  const by = (id) => document.getElementById(id);
  const APPEND_MS = 5000;
  const POINTS_MAX = 600;
  const config = JSON.parse(by("live-data").textContent);
  const { links, bot, terms } = config;
  const POSITION = [
    ["symbol", "Symbol", "desk-first"], ["ticket", "Ticket", "desk-number"], ["opened", "Opened", "desk-digits"], ["side", "Type", ""],
    ["volume", "Volume", "desk-number"], ["price_open", "Open", "desk-number"], ["sl", "S/L", "desk-number"], ["tp", "T/P", "desk-number"],
    ["price", "Price", "desk-number"], ["swap", "Swap", "desk-number"], ["profit", "Profit", "desk-number"], ["owner", "Of", ""],
  ];
  const EXPOSURE = [["asset", "Asset", "desk-first"], ["long", "Long", "desk-number"], ["short", "Short", "desk-number"], ["net", "Net", "desk-number"]];
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const sum = (items, of) => items.reduce((total, item) => total + (of(item) || 0), 0);
  const floatingOf = (legs) => sum(legs, (leg) => (leg.profit || 0) + (leg.swap || 0));

  /** The legs on the page, each with the cycle that it belongs to (null: none). */
  function legsOf(store) {
    const found = store.cycles.filter((cycle) => bot === null || cycle.bot === bot).flatMap((cycle) => cycle.legs.map((leg) => [leg, cycle]));
    return bot === null ? [...found, ...store.loose.map((leg) => [leg, null])] : found;
  }

  function badge(element, written, kind) {
    text(element, written);
    element.className = "desk-value desk-badge desk-badge-" + kind;
  }

  function newPosition([leg, cycle]) {
    const element = row(POSITION);
    element.dataset.identifier = leg.identifier;
    field(element, "ticket").append(Show.link(links, "order", leg.id, String(leg.ticket)));
    const owner = field(element, "owner");
    if (cycle === null) owner.append("by hand");
    else owner.append(Show.link(links, "cycle", cycle.id, (bot === null ? cycle.bot_name + " " : "") + "#" + cycle.number), make("small", "desk-small", "level " + leg.level));
    return element;
  }

  function showPosition(element, [leg]) {
    element.classList.toggle("is-pending", leg.status === "pending");
    text(field(element, "symbol"), leg.symbol);
    text(field(element, "opened"), leg.opened_at.slice(5, 10) + " " + leg.opened_at.slice(11, 19));
    badge(field(element, "side"), (leg.side === "buy" ? "Buy" : "Sell") + (leg.status === "pending" ? " (pending)" : ""), leg.side);
    text(field(element, "volume"), leg.volume.toFixed(2));
    text(field(element, "price_open"), Show.price(leg.price_open, leg.digits));
    text(field(element, "sl"), Show.price(leg.sl, leg.digits));
    text(field(element, "tp"), Show.price(leg.tp, leg.digits));
    tick(field(element, "price"), leg.price, Show.price(leg.price, leg.digits));
    text(field(element, "swap"), Show.money(leg.swap));
    tick(field(element, "profit"), leg.profit, Show.gain(leg.profit), true);
  }

  function figure(name, value, written, coloured) {
    const element = by("figure-" + name);
    if (element) tick(element, value, written, coloured);
  }

  function showFigures(store, account, legs) {
    const open = legs.filter((leg) => leg.status === "open");
    const bots = store.bots.filter((one) => bot === null || one.id === bot);
    const floating = bot === null ? account.floating : floatingOf(open);
    figure("balance", account.balance, Show.money(account.balance));
    figure("equity", account.equity, Show.money(account.equity));
    figure("floating", floating, Show.gain(floating), true);
    figure("today", sum(bots, (one) => one.realized_today), Show.gain(sum(bots, (one) => one.realized_today)), true);
    figure("margin", account.margin, Show.money(account.margin));
    const free = account.equity === null || account.margin === null ? null : account.equity - account.margin;
    figure("free", free, Show.money(free));
    figure("level", account.margin_level, account.margin_level ? whole.format(account.margin_level) + " %" : Show.NOTHING);
    const cycles = store.cycles.filter((cycle) => cycle.bot === bot).length;
    figure("cycles", cycles, String(cycles));
    const lots = sum(open, (leg) => leg.volume);
    figure("lots", lots, lots.toFixed(2));
    text(by("total-lots"), open.length ? lots.toFixed(2) : "");
    text(by("total-swap"), open.length ? Show.money(sum(open, (leg) => leg.swap)) : "");
    const profit = sum(open, (leg) => leg.profit);
    tick(by("total-profit"), profit, open.length ? Show.gain(profit) : "", true);
    const pending = legs.length - open.length;
    text(by("positions-count"), open.length + " open" + (pending ? ", " + pending + " pending" : ""));
  }

  /** What is held of each currency (a buy of EURUSD is long EUR and short USD), or of each symbol without known terms. */
  function exposureOf(legs) {
    const assets = new Map();
    const add = (asset, amount) => {
      const known = assets.get(asset) || { asset, long: 0, short: 0 };
      if (amount > 0) known.long += amount;
      else known.short -= amount;
      assets.set(asset, known);
    };
    for (const leg of legs.filter((one) => one.status === "open")) {
      const sign = leg.side === "buy" ? 1 : -1;
      const { contract, base, profit } = terms[leg.symbol] || {};
      if (!contract || !base || !profit) {
        add(leg.symbol + ", lots", sign * leg.volume);
        continue;
      }
      add(base, sign * leg.volume * contract);
      add(profit, -sign * leg.volume * contract * (leg.price || leg.price_open));
    }
    return [...assets.values()].sort((a, b) => a.asset.localeCompare(b.asset));
  }

  function showExposure(element, { asset, long, short }) {
    const written = (value) => (asset.endsWith(", lots") ? value.toFixed(2) : whole.format(value));
    text(field(element, "asset"), asset);
    text(field(element, "long"), long ? written(long) : Show.NOTHING);
    text(field(element, "short"), short ? written(short) : Show.NOTHING);
    const net = long - short;
    text(field(element, "net"), net === 0 ? written(0) : (net > 0 ? "+" : "−") + written(Math.abs(net)));
  }

  const dark = () => document.documentElement.classList.contains("dark");
  const inks = () => (dark() ? { text: "#9ca3af", grid: "rgb(255 255 255 / 8%)", gain: "#4ade80", loss: "#f87171", line: "#60a5fa" } : { text: "#6b7280", grid: "rgb(0 0 0 / 7%)", gain: "#15803d", loss: "#b91c1c", line: "#2563eb" });
  const points = config.equity.map(([x, y]) => ({ x, y }));
  const charts = [];
  let appendedAt = 0;

  function drawdowns() {
    let peak = -Infinity;
    return points.map(({ x, y }) => {
      peak = Math.max(peak, y);
      return { x, y: peak > 0 ? (100 * (y - peak)) / peak : 0 };
    });
  }

  const moment = (x) => new Date(x).toISOString().slice(5, 16).replace("T", " ");

  function equityChart(canvas) {
    const ink = inks();
    const axis = (more) => ({ grid: { color: ink.grid }, ticks: { color: ink.text, maxRotation: 0, autoSkipPadding: 24, ...more } });
    return new Chart(canvas, {
      type: "line",
      data: {
        datasets: [
          { label: "Equity (" + config.currency + ")", data: points, yAxisID: "y", borderColor: ink.line, borderWidth: 2, pointRadius: 0, pointHitRadius: 12 },
          { label: "Drawdown (%)", data: drawdowns(), yAxisID: "fall", borderColor: ink.loss, backgroundColor: ink.loss + "26", fill: "origin", borderWidth: 1, pointRadius: 0 },
        ],
      },
      options: {
        parsing: false, animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: { type: "linear", ...axis({ callback: (x) => moment(x) }) },
          y: { ...axis({ callback: (y) => y.toLocaleString("en-US") }), grace: "5%" },
          fall: { ...axis({ callback: (y) => y.toFixed(1) + " %" }), position: "right", max: 0, grid: { display: false }, suggestedMin: -1, grace: "150%" },
        },
        plugins: { legend: { position: "bottom", labels: { color: ink.text, boxWidth: 12 } }, tooltip: { callbacks: { title: (items) => moment(items[0].parsed.x) + " UTC", label: (item) => item.dataset.label + ": " + item.parsed.y.toFixed(2) } } },
      },
    });
  }

  function dailyChart(canvas) {
    const ink = inks();
    return new Chart(canvas, {
      type: "bar",
      data: { labels: config.daily.map(([day]) => day.slice(5)), datasets: [{ label: "Closed (" + config.currency + ")", data: config.daily.map(([, result]) => result), backgroundColor: config.daily.map(([, result]) => (result < 0 ? ink.loss : ink.gain)) }] },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        scales: { x: { grid: { display: false }, ticks: { color: ink.text, maxRotation: 0, autoSkipPadding: 12 } }, y: { grid: { color: ink.grid }, ticks: { color: ink.text } } },
        plugins: { legend: { display: false }, tooltip: { callbacks: { label: (item) => Show.gain(item.parsed.y) + " " + config.currency } } },
      },
    });
  }

  function drawCharts() {
    for (const chart of charts.splice(0)) chart.destroy();
    if (typeof Chart === "undefined") return;
    const equity = by("equity-chart");
    if (equity) {
      equity.parentElement.hidden = points.length < 2;
      by("no-equity").hidden = points.length >= 2;
      if (points.length >= 2) charts.push(equityChart(equity));
    }
    if (by("daily-chart")) charts.push(dailyChart(by("daily-chart")));
  }

  /** Let the line go on with what the feed says, so that it does not wait for the next stored snapshot. */
  function append(account) {
    const now = Desk.serverNow();
    if (bot !== null || account.equity === null || Desk.isStale(account) || account.status === "stopped" || now - appendedAt < APPEND_MS) return;
    appendedAt = now;
    points.push({ x: now, y: account.equity });
    if (points.length > POINTS_MAX) points.shift();
    if (charts.length === 0 || by("equity-chart").parentElement.hidden) return drawCharts();
    charts[0].data.datasets[1].data = drawdowns();
    charts[0].update("none");
  }

  function render(store) {
    const account = [...store.accounts.values()][0];
    Show.freshness();
    if (!account) return;
    const pairs = legsOf(store);
    const legs = pairs.map(([leg]) => leg);
    showFigures(store, account, legs);
    list(by("positions"), pairs, ([leg]) => leg.id, newPosition, showPosition);
    by("positions-table").hidden = legs.length === 0;
    by("no-positions").hidden = legs.length > 0;
    for (const cell of document.querySelectorAll("[data-bot-floating]")) {
      const own = cell.dataset.botFloating ? store.cycles.filter((cycle) => cycle.bot === Number(cell.dataset.botFloating)).flatMap((cycle) => cycle.legs) : store.loose;
      tick(cell, floatingOf(own), Show.gain(floatingOf(own)), true);
    }
    if (by("exposure")) {
      const assets = exposureOf(legs);
      list(by("exposure"), assets, (one) => one.asset, () => row(EXPOSURE), showExposure);
      by("exposure").parentElement.hidden = assets.length === 0;
      by("no-exposure").hidden = assets.length > 0;
    }
    append(account);
  }

  drawCharts();
  new MutationObserver(drawCharts).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  Desk.start(render);
});
