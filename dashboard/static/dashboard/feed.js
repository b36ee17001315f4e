/* The live feed of a page: the WebSocket, what it has told so far, and how old that is.
 *
 * A page calls Desk.start(render) and reads Desk.store; render runs at most once a frame, after changes.
 * The protocol is described in events/consumers.py.
 */
"use strict";

const Desk = (() => {
  const STALE_MS = 3000;
  const DEAD_MS = 10000;
  const BACKOFF_FIRST_MS = 500;
  const BACKOFF_LONGEST_MS = 10000;
  const ASK_PAUSE_MS = 500;
  const REFRESH_MS = 5000;
  const EVENTS_SHOWN = 20;
  const NOT_LOGGED_IN = 4401;

  const store = { accounts: new Map(), bots: [], cycles: [], cyclesTotal: 0, cyclesPaper: 0, loose: [], events: [], processes: [], quotes: new Map() };
  const feed = { state: "connecting", everLive: false, dataAt: null, lagging: false, offset: 0, frameAt: performance.now() };
  let config = null;
  let socket = null;
  let backoff = BACKOFF_FIRST_MS;
  let seqs = new Map();
  let epoch = null;
  let legs = new Map();
  let askTimer = null;
  let askedAt = -Infinity;
  let snapshotAt = performance.now();
  let render = () => {};
  let drawing = false;

  const serverNow = () => Date.now() + feed.offset;

  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      render(store, feed);
    });
  }

  function ask(pause = ASK_PAUSE_MS) {
    if (askTimer !== null) return;
    const wait = Math.max(0, askedAt + pause - performance.now());
    askTimer = setTimeout(() => {
      askTimer = null;
      askedAt = performance.now();
      if (socket !== null && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "snapshot" }));
    }, wait);
  }

  function takeSnapshot(frame) {
    for (const account of frame.accounts) {
      const known = store.accounts.get(account.id);
      // A change that overtook the snapshot stays
      if (known && known.marks_seq > account.marks_seq) keepMarks(known, account);
      if (known && known.seen_at && (!account.seen_at || Date.parse(known.seen_at) > Date.parse(account.seen_at))) account.seen_at = known.seen_at;
    }
    store.accounts = new Map(frame.accounts.map((account) => [account.id, account]));
    store.bots = frame.bots;
    const places = new Map(frame.accounts.map((account, n) => [account.id, n]));
    store.cycles = frame.cycles.sort(
      (a, b) => places.get(a.account) - places.get(b.account) || a.bot_name.localeCompare(b.bot_name) || a.bot - b.bot || a.number - b.number
    );
    store.cyclesTotal = frame.cycles_total;
    store.cyclesPaper = frame.cycles_paper;
    const before = legs;
    store.loose = frame.loose;
    legs = new Map();
    for (const leg of [...frame.cycles.flatMap((cycle) => cycle.legs), ...frame.loose]) {
      const key = leg.account + ":" + leg.identifier;
      const known = before.get(key);
      const account = store.accounts.get(leg.account);
      if (known && account && account.kept) Object.assign(leg, { profit: known.profit, swap: known.swap, price: known.price });
      legs.set(key, leg);
    }
    store.events = frame.events;
    store.processes = frame.processes;
    epoch = frame.epoch;
    seqs = new Map();
    snapshotAt = performance.now();
    feed.dataAt = Date.parse(frame.server_time);
  }

  function keepMarks(known, account) {
    for (const name of ["balance", "equity", "margin", "margin_level", "floating", "marks_at", "marks_seq", "positions"]) account[name] = known[name];
    account.kept = true;
  }

  function takeDelta(frame) {
    const account = store.accounts.get(frame.account);
    const last = seqs.get(frame.account);
    if (frame.epoch !== epoch || (last !== undefined && frame.seq !== last + 1)) ask();
    seqs.set(frame.account, frame.seq);
    feed.dataAt = Date.parse(frame.server_time);
    const delta = frame.delta;
    if (!account || delta.resync) return ask();
    if (delta.at && (!account.seen_at || Date.parse(delta.at) > Date.parse(account.seen_at))) account.seen_at = delta.at;
    if (frame.kind === "marks") takeMarks(account, delta);
    else if (frame.kind === "event") takeEvent(delta);
    else if (frame.kind === "prices") takeQuotes(account, delta.quotes || {});
    else if (frame.kind === "state") takeState(account, delta);
    else if (frame.kind === "risk") Object.assign(account, { stop_out: delta.stop_out, stops: delta.stops });
    else ask();
  }

  function takeMarks(account, delta) {
    if (delta.seq <= account.marks_seq) return;
    let floating = 0;
    delta.identifiers.forEach((identifier, n) => {
      floating += delta.profits[n] + delta.swaps[n];
      const leg = legs.get(account.id + ":" + identifier);
      if (leg) Object.assign(leg, { profit: delta.profits[n], swap: delta.swaps[n], price: delta.prices[n] });
    });
    if (delta.identifiers.length !== account.positions) ask();
    Object.assign(account, {
      balance: delta.balance, equity: delta.equity, margin: delta.margin, margin_level: delta.margin_level,
      floating, marks_at: delta.at, marks_seq: delta.seq, positions: delta.identifiers.length,
    });
  }

  function takeEvent(delta) {
    if (delta.level === "debug" || store.events.some((event) => event.id === delta.id)) return;
    store.events = [delta, ...store.events].sort((a, b) => b.id - a.id).slice(0, EVENTS_SHOWN);
  }

  function takeQuotes(account, quotes) {
    for (const [symbol, quote] of Object.entries(quotes)) store.quotes.set(account.id + ":" + symbol, quote);
  }

  function takeState(account, delta) {
    const known = "status" in delta && delta.status === account.status && delta.health === account.health && delta.error === account.error;
    if (!known) ask();
    for (const name of ["status", "health", "error", "desired_state"]) if (name in delta) account[name] = delta[name];
  }

  function connect() {
    const url = new URL(config.socket, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const mine = new WebSocket(url);
    socket = mine;
    if (config.only) mine.onopen = () => mine.send(JSON.stringify({ type: "subscribe", accounts: config.only }));
    mine.onmessage = (message) => {
      if (socket !== mine) return;
      const frame = JSON.parse(message.data);
      feed.frameAt = performance.now();
      feed.offset = Date.parse(frame.server_time) - Date.now();
      if (frame.type === "snapshot") {
        takeSnapshot(frame);
        feed.state = "live";
        feed.everLive = true;
        backoff = BACKOFF_FIRST_MS;
      } else if (frame.type === "delta") takeDelta(frame);
      else if (frame.type === "heartbeat") {
        feed.lagging = frame.lagging;
        if (!frame.lagging && feed.state === "live" && askTimer === null) feed.dataAt = Date.parse(frame.server_time);
        mine.send(JSON.stringify({ type: "ack", n: frame.n }));
        if (performance.now() - snapshotAt > REFRESH_MS) ask();
      }
      draw();
    };
    mine.onclose = (closed) => {
      if (socket !== mine) return;
      socket = null;
      if (closed.code === NOT_LOGGED_IN) {
        feed.state = "closed";
      } else {
        feed.state = feed.everLive ? "reconnecting" : "connecting";
        setTimeout(connect, backoff * (0.5 + Math.random()));
        backoff = Math.min(BACKOFF_LONGEST_MS, backoff * 2);
      }
      draw();
    };
  }

  function watch() {
    // A connection that hangs without closing is given up
    if (socket !== null && performance.now() - feed.frameAt > DEAD_MS) {
      const dead = socket;
      feed.frameAt = performance.now();
      dead.onclose({ code: 1006 });
      dead.close();
    }
    draw();
  }

  /** Say what is wrong with what the page shows: [severity, text], or null when all of it is fresh. */
  function complaint() {
    const from = "data from " + Show.time(feed.dataAt);
    if (feed.state === "closed") return ["danger", "Your session has ended: log in again. Showing " + from + "."];
    if (feed.state === "reconnecting") return ["danger", "Reconnecting… " + from];
    const silent = performance.now() - feed.frameAt;
    if (silent >= STALE_MS) return ["danger", "No news from the site for " + Math.floor(silent / 1000) + " s, " + from];
    if (feed.lagging) return ["warning", "This browser is too slow for all changes; they are left out until it catches up"];
    const late = [...store.accounts.values()].filter((account) => isStale(account));
    if (late.length === 0) return null;
    const told = late.slice(0, 3).map((account) => (account.seen_at ? account.name + " (" + from_(account) + ")" : account.name + " (never ran)"));
    const more = late.length > 3 ? " and " + (late.length - 3) + " more" : "";
    return ["warning", "No sign of life from the engine: " + told.join(", ") + more + ". Is manage.py runengine running?"];
  }

  const from_ = (account) => "data from " + Show.time(Date.parse(account.seen_at));

  /** Return the age in milliseconds of what is known of an account; Infinity when nothing is. */
  const ageOf = (account) => (account.seen_at ? Math.max(0, serverNow() - Date.parse(account.seen_at)) : Infinity);
  const isStale = (account) => account.desired_state !== "stopped" && ageOf(account) >= STALE_MS;

  function start(then) {
    config = JSON.parse(document.getElementById("live-data").textContent);
    render = then;
    if (config.snapshot) {
      feed.offset = Date.parse(config.snapshot.server_time) - Date.now();
      takeSnapshot(config.snapshot);
    }
    render(store, feed);
    connect();
    setInterval(watch, 500);
    return config;
  }

  return { start, store, feed, complaint, ageOf, isStale, serverNow };
})();

/* How figures are written: sign and arrow beside the colour, tabular digits, times in UTC. */
const Show = (() => {
  const NOTHING = "–";
  const two = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const money = (value) => (value === null || value === undefined ? NOTHING : two.format(value));
  const rounded = (value) => Math.round(value * 100) / 100;

  function gain(value) {
    if (value === null || value === undefined) return NOTHING;
    const cents = rounded(value);
    if (cents === 0) return "0.00";
    return cents > 0 ? "▲ +" + two.format(cents) : "▼ −" + two.format(-cents);
  }

  const price = (value, digits) => (value ? value.toFixed(digits) : NOTHING);
  const time = (at) => (at === null || Number.isNaN(at) ? NOTHING : new Date(at).toISOString().slice(11, 19) + " UTC");

  function age(ms) {
    if (!Number.isFinite(ms)) return "never";
    const seconds = ms / 1000;
    if (seconds < 10) return seconds.toFixed(1) + " s";
    if (seconds < 120) return Math.floor(seconds) + " s";
    if (seconds < 7200) return Math.floor(seconds / 60) + " min";
    return seconds < 172800 ? Math.floor(seconds / 3600) + " h" : Math.floor(seconds / 86400) + " d";
  }

  /** Write a text where it differs from what stands there. */
  function text(element, value) {
    if (element.textContent !== value) element.textContent = value;
  }

  /** Write a moving figure: it flashes in the direction in which it moved. */
  function tick(element, value, written, coloured) {
    const before = element.dataset.value;
    if (coloured) {
      const sign = value === null || value === undefined ? 0 : Math.sign(rounded(value));
      element.classList.toggle("desk-gain", sign > 0);
      element.classList.toggle("desk-loss", sign < 0);
    }
    if (element.textContent === written) return;
    element.textContent = written;
    element.dataset.value = value;
    if (before === undefined || calm.matches || !element.animate) return;
    const colour = Number(value) >= Number(before) ? "rgb(34 197 94 / 30%)" : "rgb(239 68 68 / 30%)";
    element.animate([{ backgroundColor: colour }, { backgroundColor: "transparent" }], 600);
  }

  /** Make an element: tag, classes, children (texts or elements). */
  function make(tag, classes, ...children) {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    element.append(...children);
    return element;
  }

  /** Make a link to a row's page, or plain text where there is none. */
  function link(links, kind, id, written) {
    if (!links[kind]) return document.createTextNode(written);
    const element = make("a", "desk-link", written);
    element.href = links[kind].replace("/0/", "/" + id + "/");
    return element;
  }

  /** Keep one child per item, in the items' order; what stays is written over in place and never rebuilt. */
  function list(parent, items, keyOf, create, update) {
    const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
    items.forEach((item, n) => {
      const key = String(keyOf(item));
      let child = known.get(key);
      known.delete(key);
      if (!child) {
        child = create(item);
        child.dataset.key = key;
      }
      if (parent.children[n] !== child) parent.insertBefore(child, parent.children[n] || null);
      update(child, item);
    });
    for (const gone of known.values()) gone.remove();
  }

  /** Make a table row whose cells are named: [name, label, classes]. */
  function row(cells) {
    const element = make("tr");
    for (const [name, label, classes] of cells) {
      const cell = make("td", classes);
      cell.dataset.label = label;
      cell.append(make("span", "desk-value"));
      cell.firstChild.dataset.field = name;
      element.append(cell);
    }
    return element;
  }

  const field = (element, name) => element.querySelector('[data-field="' + name + '"]');

  /** Say what the brokers' clocks show; MT5 prints its times by them. */
  function brokerTime() {
    const offsets = [...new Set([...Desk.store.accounts.values()].map((account) => account.clock_offset))].filter((seconds) => seconds !== null && seconds !== undefined);
    if (offsets.length === 0) return "";
    const said = offsets.slice(0, 3).map((seconds) => new Date(Desk.serverNow() + seconds * 1000).toISOString().slice(11, 19) + " (UTC" + (seconds < 0 ? "−" : "+") + Math.abs(seconds) / 3600 + ")");
    return " · broker " + said.join(", ");
  }

  /** Write the bar that says how fresh the page is. */
  function freshness() {
    const bar = document.getElementById("desk-banner");
    if (!bar) return;
    const wrong = Desk.complaint();
    const page = document.getElementById("desk");
    page.classList.toggle("is-stale", wrong !== null && wrong[0] === "danger");
    bar.hidden = wrong === null;
    if (wrong !== null) {
      bar.className = "desk-banner desk-banner-" + wrong[0];
      text(bar, wrong[1]);
    }
    const pill = document.getElementById("desk-pill");
    const live = Desk.feed.state === "live" && (wrong === null || wrong[0] !== "danger");
    pill.classList.toggle("is-live", live);
    const old = Math.max(0, Desk.serverNow() - Desk.feed.dataAt);
    text(pill, live ? "Live · " + time(Desk.serverNow()) + brokerTime() : Desk.feed.state === "connecting" ? "Connecting…" : "Not live · " + age(old) + " old");
  }

  const MONEY = { live: "danger", demo: "info", paper: "warning" };

  /** Return the badge that says what is at stake on an account. */
  const moneyBadge = (account) => make("span", "desk-badge desk-badge-" + MONEY[account.money], account.money.toUpperCase());

  return { NOTHING, moneyBadge, money, gain, price, time, age, text, tick, make, link, list, row, field, freshness };
})();
