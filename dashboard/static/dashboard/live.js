/* The live page: accounts, open cycles with their legs, events, engine. Figures move in place; nothing is reordered. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { make, text, tick, field, row, list } = Show;
  const by = (id) => document.getElementById(id);
  const FOLDED_FROM = 12;
  let links = {};
  let only = "";

  const ACCOUNT = [
    ["name", "Account", "desk-first"], ["state", "State", ""], ["balance", "Balance", "desk-number"], ["equity", "Equity", "desk-number"],
    ["floating", "Floating", "desk-number"], ["margin_level", "Margin level", "desk-number"], ["to_stop_out", "To stop-out", "desk-number"],
    ["positions", "Positions", "desk-number"], ["age", "Age", "desk-number"],
  ];
  const LEG = [
    ["level", "Level", "desk-number"], ["ticket", "Ticket", "desk-number"], ["side", "Side", ""], ["volume", "Volume", "desk-number"],
    ["price_open", "Open", "desk-number"], ["price", "Price", "desk-number"], ["sl", "SL", "desk-number"], ["tp", "TP", "desk-number"],
    ["swap", "Swap", "desk-number"], ["profit", "Profit", "desk-number"],
  ];
  const EVENT = [["at", "Time", "desk-number"], ["level", "Level", ""], ["account", "Account", ""], ["kind", "Kind", ""], ["text", "What", "desk-wide"]];
  const PROCESS = [
    ["role", "Process", "desk-first"], ["host", "Host", ""], ["pid", "PID", "desk-number"], ["seen", "Last sign of life", "desk-number"],
    ["up", "Up for", "desk-number"], ["restarts", "Restarts", "desk-number"], ["cpu", "CPU", "desk-number"], ["memory", "Memory", "desk-number"],
  ];
  const JOB = [
    ["job", "Job", "desk-first"], ["passes", "Passes", "desk-number"], ["errors", "Errors", "desk-number"], ["overruns", "Overruns", "desk-number"],
    ["p50", "p50 ms", "desk-number"], ["p99", "p99 ms", "desk-number"], ["last", "Last ms", "desk-number"],
  ];

  const floatingOf = (legs) => legs.reduce((sum, leg) => sum + (leg.profit || 0) + (leg.swap || 0), 0);
  const netOf = (cycle) => cycle.realized + floatingOf(cycle.legs) + cycle.legs.reduce((sum, leg) => sum + leg.booked + leg.commission, 0);
  const shown = (item) => only === "" || String(item.account) === only;

  function badge(element, written, kind) {
    text(element, written);
    const classes = "desk-value desk-badge desk-badge-" + kind;
    if (element.className !== classes) element.className = classes;
  }

  function stateOf(account) {
    if (account.status === "error") return ["Error", "danger"];
    if (Desk.isStale(account)) return ["Silent", "danger"];
    if (account.health === "unhealthy") return ["Unhealthy", "danger"];
    if (account.blocks.length > 0 && account.status !== "stopped") return ["No new entries", "warning"];
    if (account.health === "degraded") return ["Degraded", "warning"];
    const kinds = { running: "success", paused: "warning", starting: "info", stopped: "info" };
    return [account.status.charAt(0).toUpperCase() + account.status.slice(1), kinds[account.status] || "info"];
  }

  function newAccount(account) {
    const element = row(ACCOUNT);
    const kind = Show.moneyBadge(account);
    field(element, "name").append(Show.link(links, "account", account.id, account.name), " ", kind, make("small", "desk-small", account.login + " · " + account.server));
    element.querySelector('[data-label="State"]').append(make("small", "desk-small desk-why"));
    return element;
  }

  function showAccount(element, account) {
    element.classList.toggle("is-stale", Desk.isStale(account));
    badge(field(element, "state"), ...stateOf(account));
    const why = account.error || account.blocks.map((block) => block.cause + ": " + block.reason).join("; ");
    text(element.querySelector(".desk-why"), why);
    tick(field(element, "balance"), account.balance, Show.money(account.balance));
    tick(field(element, "equity"), account.equity, Show.money(account.equity) + (account.equity === null ? "" : " " + account.currency));
    tick(field(element, "floating"), account.floating, Show.gain(account.floating), true);
    tick(field(element, "margin_level"), account.margin_level, account.margin_level ? Math.round(account.margin_level).toLocaleString("en-US") + " %" : Show.NOTHING);
    const above = RiskFigures.aboveStopOut(account);
    tick(field(element, "to_stop_out"), above, above === null ? Show.NOTHING : RiskFigures.amount(above));
    text(field(element, "positions"), String(account.positions));
    text(field(element, "age"), Show.age(Desk.ageOf(account)));
  }

  function newLegs(legs) {
    const head = make("tr");
    for (const [, label, classes] of LEG) {
      const cell = make("th", classes, label);
      cell.scope = "col";
      head.append(cell);
    }
    return make("div", "desk-scroll", make("table", "desk-table desk-legs", make("thead", "", head), make("tbody")));
  }

  function showLegs(body, legs) {
    list(body, legs, (leg) => leg.id, newLeg, showLeg);
  }

  function newLeg(leg) {
    const element = row(LEG);
    element.dataset.identifier = leg.identifier;
    field(element, "ticket").append(Show.link(links, "order", leg.id, String(leg.ticket)));
    return element;
  }

  function showLeg(element, leg) {
    element.classList.toggle("is-pending", leg.status === "pending");
    text(field(element, "level"), String(leg.level));
    badge(field(element, "side"), (leg.side === "buy" ? "Buy" : "Sell") + (leg.status === "pending" ? " (pending)" : ""), leg.side);
    text(field(element, "volume"), leg.volume.toFixed(2));
    text(field(element, "price_open"), Show.price(leg.price_open, leg.digits));
    tick(field(element, "price"), leg.price, Show.price(leg.price, leg.digits));
    text(field(element, "sl"), Show.price(leg.sl, leg.digits));
    text(field(element, "tp"), Show.price(leg.tp, leg.digits));
    text(field(element, "swap"), Show.money(leg.swap));
    tick(field(element, "profit"), leg.profit, Show.gain(leg.profit), true);
  }

  function newCycle(cycle) {
    const element = make("details", "desk-cycle");
    element.open = Desk.store.cycles.length < FOLDED_FROM;
    const named = (name, classes) => {
      const value = make("span", classes || "");
      value.dataset.field = name;
      return value;
    };
    const title = make("span", "desk-cycle-title", Show.link(links, "cycle", cycle.id, cycle.bot_name + " #" + cycle.number));
    const facts = make("span", "desk-cycle-facts", named("symbol"), named("side"), named("status"), named("quote", "desk-small desk-digits"), named("stop", "desk-small"), named("account", "desk-small"), named("legs", "desk-small"), named("age", "desk-small"));
    const figures = make("span", "desk-cycle-figures", labelled("Realized", named("realized")), labelled("Floating", named("floating")), labelled("Net", named("net", "desk-strong")));
    element.append(make("summary", "", title, facts, figures), newLegs());
    return element;
  }

  const labelled = (label, value) => make("span", "desk-figure", make("small", "desk-small", label), value);

  function showCycle(element, cycle) {
    const account = Desk.store.accounts.get(cycle.account);
    const floating = floatingOf(cycle.legs);
    text(field(element, "symbol"), cycle.symbol);
    badge(field(element, "side"), cycle.side === "buy" ? "Buy" : "Sell", cycle.side);
    badge(field(element, "status"), cycle.status === "open" ? "Open" : "Closing", cycle.status === "open" ? "success" : "warning");
    const quote = Desk.store.quotes.get(cycle.account + ":" + cycle.symbol);
    text(field(element, "quote"), quote ? quote.map((price) => price.toFixed(cycle.digits)).join(" / ") : "");
    const pips = account ? RiskFigures.pipsLeft(account, cycle.symbol, quote) : null;
    text(field(element, "stop"), pips === null ? "" : "stop-out in " + pips.toFixed(1) + " pips");
    text(field(element, "account"), account ? account.name : "");
    text(field(element, "legs"), cycle.legs.length === 1 ? "1 leg" : cycle.legs.length + " legs");
    text(field(element, "age"), Show.age(Desk.serverNow() - Date.parse(cycle.opened_at)));
    tick(field(element, "realized"), cycle.realized, Show.gain(cycle.realized), true);
    tick(field(element, "floating"), floating, Show.gain(floating), true);
    tick(field(element, "net"), netOf(cycle), Show.gain(netOf(cycle)), true);
    showLegs(element.querySelector("tbody"), cycle.legs);
  }

  function newEvent(event) {
    const element = row(EVENT);
    const account = Desk.store.accounts.get(event.account);
    const kinds = { debug: "info", info: "info", warning: "warning", error: "danger" };
    text(field(element, "at"), Show.time(Date.parse(event.at)).replace(" UTC", ""));
    badge(field(element, "level"), event.level, kinds[event.level] || "info");
    text(field(element, "account"), account ? account.name : "");
    text(field(element, "kind"), event.kind);
    const what = event.cycle ? Show.link(links, "cycle", event.cycle, event.text) : document.createTextNode(event.text);
    field(element, "text").append(what);
    return element;
  }

  function showProcess(element, process) {
    const age = Desk.serverNow() - Date.parse(process.seen_at);
    element.classList.toggle("is-stale", age > 15000);
    text(field(element, "role"), process.role.charAt(0).toUpperCase() + process.role.slice(1));
    text(field(element, "host"), process.host);
    text(field(element, "pid"), String(process.pid));
    text(field(element, "seen"), Show.age(Math.max(0, age)) + " ago");
    text(field(element, "up"), Show.age(Desk.serverNow() - Date.parse(process.started_at)));
    text(field(element, "restarts"), String(process.restarts));
    text(field(element, "cpu"), process.cpu_percent.toFixed(0) + " %");
    text(field(element, "memory"), (process.rss_bytes / 1048576).toFixed(0) + " MB");
  }

  function showJob(element, job) {
    const alarming = job.errors > 0 && job.last_error;
    element.classList.toggle("is-failing", Boolean(alarming));
    element.title = job.last_error || "";
    text(field(element, "job"), job.label);
    text(field(element, "passes"), job.passes.toLocaleString("en-US"));
    text(field(element, "errors"), String(job.errors));
    text(field(element, "overruns"), String(job.overruns));
    for (const name of ["p50", "p99", "last"]) text(field(element, name), Number(job[name + "_ms"]).toFixed(1));
  }

  function jobsOf(accounts) {
    const several = accounts.length > 1;
    return accounts.flatMap((account) =>
      Object.entries(account.jobs).map(([name, job]) => ({ ...job, key: account.id + ":" + name, label: several ? account.name + " · " + name : name }))
    );
  }

  function showFilter(accounts) {
    const select = by("desk-only");
    select.parentElement.hidden = accounts.length < 2;
    const options = [{ id: "", name: "All accounts" }, ...accounts];
    list(select, options, (option) => "o" + option.id, () => make("option"), (element, option) => {
      element.value = String(option.id);
      text(element, option.name);
    });
    if (select.value !== only) select.value = only;
  }

  function showEmpty(id, empty) {
    by(id).hidden = !empty;
  }

  function render(store) {
    const accounts = [...store.accounts.values()];
    const visible = accounts.filter((account) => only === "" || String(account.id) === only);
    const cycles = store.cycles.filter(shown);
    const loose = store.loose.filter(shown);
    const events = store.events.filter(shown);
    Show.freshness();
    showFilter(accounts);
    list(by("desk-accounts"), visible, (account) => account.id, newAccount, showAccount);
    list(by("desk-cycles"), cycles, (cycle) => cycle.id, newCycle, showCycle);
    showLegs(by("desk-loose"), loose);
    list(by("desk-events"), events, (event) => event.id, newEvent, () => {});
    list(by("desk-processes"), store.processes, (process) => process.id, () => row(PROCESS), showProcess);
    list(by("desk-jobs"), jobsOf(visible), (job) => job.key, () => row(JOB), showJob);
    by("desk-loose-panel").hidden = loose.length === 0;
    showEmpty("desk-no-accounts", accounts.length === 0);
    showEmpty("desk-no-cycles", cycles.length === 0);
    showEmpty("desk-no-events", events.length === 0);
    showEmpty("desk-no-processes", store.processes.length === 0);
    showEmpty("desk-no-jobs", by("desk-jobs").children.length === 0);
    const hidden = store.cyclesTotal - store.cycles.length;
    text(by("desk-cycle-count"), String(store.cyclesTotal) + (hidden > 0 ? ", the newest " + store.cycles.length + " shown" : ""));
  }

  by("desk-only").addEventListener("change", (event) => {
    only = event.target.value;
    render(Desk.store);
  });
  links = JSON.parse(by("live-data").textContent).links;
  Desk.start(render);
});
