/* The overview: key figures, equity over time, accounts, bots and the last events; the figures move, the rows stay. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { text, tick, field, row, list, make } = Show;
  const by = (id) => document.getElementById(id);
  const EVENTS_SHOWN = 10;
  const APPEND_MS = 5000;
  const POINTS_MAX = 600;
  // Below it brokers begin to warn (margin calls are at 100 % as a rule)
  const LEVEL_LOW = 150;
  const COLOURS = ["#2563eb", "#f59e0b", "#0d9488", "#db2777", "#7c3aed", "#65a30d", "#0891b2", "#dc2626"];
  const holder = by("live-data");
  if (!holder) return;
  const config = JSON.parse(holder.textContent);
  const links = config.links;
  const ACCOUNT = [["name", "Account", "desk-first"], ["state", "State", ""], ["equity", "Equity", "desk-number"], ["floating", "Floating", "desk-number"], ["margin_level", "Margin level", "desk-number"]];
  const BOT = [["name", "Bot", "desk-first"], ["strategy", "Strategy", ""], ["state", "State", ""], ["cycles", "Open cycles", "desk-number"], ["floating", "Floating", "desk-number"], ["today", "Today", "desk-number"]];
  const EVENT = [["at", "Time", "desk-number"], ["level", "Level", ""], ["account", "Account", ""], ["text", "What", "desk-wide"]];
  const STATES = { running: "success", paused: "warning", starting: "info", stopped: "info", error: "danger" };
  const LEVELS = { debug: "info", info: "info", warning: "warning", error: "danger" };

  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
  const sum = (items, of) => items.reduce((total, item) => total + (of(item) || 0), 0);

  function badge(element, written, kind) {
    text(element, written);
    element.className = "desk-value desk-badge desk-badge-" + kind;
  }

  const isPaper = (account) => account.money === "paper";
  const purse = (account) => account.currency + (account.money === "live" ? "" : " " + account.money.toUpperCase());

  /** Write one figure per currency: sums of different currencies mean nothing, and demo or paper is nobody's money. */
  function perCurrency(name, accounts, of, written, coloured) {
    const purses = [...new Set(accounts.map(purse))].sort();
    list(by(name), purses, (known) => known, () => make("div", "desk-kpi-line", make("span"), make("small", "desk-small")), (element, known) => {
      const total = sum(accounts.filter((account) => purse(account) === known), of);
      tick(element.firstChild, total, written(total), coloured);
      text(element.lastChild, " " + known);
    });
  }

  /** Write a count, and beside it how many there are on paper. */
  function counted(name, real, paper) {
    tick(by(name), real, String(real) + (paper > 0 ? " + " + paper + " PAPER" : ""));
  }

  function showFigures(store, accounts) {
    const today = (account) => sum(store.bots.filter((bot) => bot.account === account.id), (bot) => bot.realized_today);
    perCurrency("kpi-equity", accounts, (account) => account.equity, Show.money, false);
    perCurrency("kpi-floating", accounts, (account) => account.floating, Show.gain, true);
    perCurrency("kpi-today", accounts, today, Show.gain, true);
    const positions = (account) => account.positions;
    counted("kpi-positions", sum(accounts.filter((account) => !isPaper(account)), positions), sum(accounts.filter(isPaper), positions));
    counted("kpi-cycles", store.cyclesTotal - store.cyclesPaper, store.cyclesPaper);
    const levels = accounts.filter((account) => account.margin > 0 && account.margin_level).map((account) => account.margin_level);
    const lowest = levels.length ? Math.min(...levels) : null;
    tick(by("kpi-level"), lowest, lowest === null ? Show.NOTHING : Math.round(lowest).toLocaleString("en-US") + " %");
    by("kpi-level").classList.toggle("desk-loss", lowest !== null && lowest < LEVEL_LOW);
    const wanted = accounts.filter((account) => account.desired_state !== "stopped");
    const lag = wanted.length === 0 ? null : Math.max(...wanted.map((account) => Desk.ageOf(account)));
    text(by("kpi-lag"), lag === null ? "Stopped" : Show.age(lag));
    by("kpi-lag").classList.toggle("desk-loss", lag !== null && lag >= 3000);
  }

  function newAccount(account) {
    const element = row(ACCOUNT);
    const kind = Show.moneyBadge(account);
    field(element, "name").append(Show.link(links, "account", account.id, account.name), " ", kind);
    return element;
  }

  function showAccount(element, account) {
    element.classList.toggle("is-stale", Desk.isStale(account));
    if (Desk.isStale(account)) badge(field(element, "state"), "Silent", "danger");
    else badge(field(element, "state"), capital(account.status), STATES[account.status] || "info");
    tick(field(element, "equity"), account.equity, Show.money(account.equity) + (account.equity === null ? "" : " " + account.currency));
    tick(field(element, "floating"), account.floating, Show.gain(account.floating), true);
    text(field(element, "margin_level"), account.margin_level ? Math.round(account.margin_level).toLocaleString("en-US") + " %" : Show.NOTHING);
  }

  function newBot(bot) {
    const element = row(BOT);
    const account = Desk.store.accounts.get(bot.account);
    field(element, "name").append(Show.link(links, "bot", bot.id, bot.name), make("small", "desk-small", (account ? account.name + " · " : "") + bot.symbols.join(", ")));
    return element;
  }

  function showBot(element, bot) {
    const cycles = Desk.store.cycles.filter((cycle) => cycle.bot === bot.id);
    const floating = sum(cycles.flatMap((cycle) => cycle.legs), (leg) => (leg.profit || 0) + (leg.swap || 0));
    text(field(element, "strategy"), bot.strategy);
    badge(field(element, "state"), capital(bot.desired_state), STATES[bot.desired_state] || "info");
    text(field(element, "cycles"), String(cycles.length));
    tick(field(element, "floating"), floating, Show.gain(floating), true);
    tick(field(element, "today"), bot.realized_today, Show.gain(bot.realized_today), true);
  }

  function newEvent(event) {
    const element = row(EVENT);
    const account = Desk.store.accounts.get(event.account);
    text(field(element, "at"), Show.time(Date.parse(event.at)).replace(" UTC", ""));
    badge(field(element, "level"), event.level, LEVELS[event.level] || "info");
    text(field(element, "account"), account ? account.name : "");
    const what = event.cycle ? Show.link(links, "cycle", event.cycle, event.text) : document.createTextNode(event.text);
    field(element, "text").append(what);
    return element;
  }

  const lines = new Map(config.equity.map((line) => [line.account, line.points.map(([x, y]) => ({ x, y }))]));
  let chart = null;
  let appendedAt = 0;

  function inks() {
    const dark = document.documentElement.classList.contains("dark");
    return dark ? { text: "#9ca3af", grid: "rgb(255 255 255 / 8%)" } : { text: "#6b7280", grid: "rgb(0 0 0 / 7%)" };
  }

  const clock = (x, withDay) => {
    const written = new Date(x).toISOString();
    return withDay ? written.slice(5, 10) + " " + written.slice(11, 16) : written.slice(11, 19);
  };

  function drawChart(accounts) {
    const shown = accounts.filter((account) => lines.has(account.id));
    by("desk-no-equity").hidden = shown.length > 0;
    by("desk-equity").parentElement.hidden = shown.length === 0;
    if (shown.length === 0 || typeof Chart === "undefined") return;
    if (chart !== null && chart.data.datasets.length === shown.length) return chart.update("none");
    if (chart !== null) chart.destroy();
    const span = () => chart.scales.x.max - chart.scales.x.min;
    const ink = inks();
    chart = new Chart(by("desk-equity"), {
      type: "line",
      data: {
        datasets: shown.map((account, n) => ({
          label: account.name + " (" + purse(account) + ")",
          data: lines.get(account.id),
          borderColor: COLOURS[n % COLOURS.length],
          backgroundColor: COLOURS[n % COLOURS.length] + "1a",
          fill: shown.length === 1,
          borderWidth: 2, pointRadius: 0, pointHitRadius: 12, tension: 0,
        })),
      },
      options: {
        parsing: false, animation: false, responsive: true, maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: { type: "linear", grid: { color: ink.grid }, ticks: { color: ink.text, maxRotation: 0, autoSkipPadding: 24, callback: (x) => clock(x, chart !== null && span() > 86400000) } },
          y: { grid: { color: ink.grid }, ticks: { color: ink.text, callback: (y) => y.toLocaleString("en-US") } },
        },
        plugins: {
          legend: { display: shown.length > 1, position: "bottom", labels: { color: ink.text, boxWidth: 12 } },
          tooltip: { callbacks: { title: (items) => clock(items[0].parsed.x, true) + " UTC", label: (item) => item.dataset.label + ": " + Show.money(item.parsed.y) } },
        },
      },
    });
  }

  /** Let the lines go on with what the feed says, so that they do not wait for the next stored snapshot. */
  function append(accounts) {
    const now = Desk.serverNow();
    if (now - appendedAt < APPEND_MS) return;
    appendedAt = now;
    for (const account of accounts) {
      if (account.equity === null || Desk.isStale(account) || account.status === "stopped") continue;
      const points = lines.get(account.id) || [];
      points.push({ x: now, y: account.equity });
      if (points.length > POINTS_MAX) points.shift();
      lines.set(account.id, points);
    }
    drawChart(accounts);
  }

  new MutationObserver(() => {
    if (chart === null) return;
    const ink = inks();
    for (const scale of Object.values(chart.options.scales)) {
      scale.grid.color = ink.grid;
      scale.ticks.color = ink.text;
    }
    chart.options.plugins.legend.labels.color = ink.text;
    chart.update("none");
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });

  function render(store) {
    const accounts = [...store.accounts.values()];
    Show.freshness();
    showFigures(store, accounts);
    list(by("desk-accounts"), accounts, (account) => account.id, newAccount, showAccount);
    list(by("desk-bots"), store.bots, (bot) => bot.id, newBot, showBot);
    list(by("desk-events"), store.events.slice(0, EVENTS_SHOWN), (event) => event.id, newEvent, () => {});
    by("desk-no-bots").hidden = store.bots.length > 0;
    by("desk-no-events").hidden = store.events.length > 0;
    append(accounts);
  }

  drawChart(config.snapshot.accounts);
  Desk.start(render);
});
