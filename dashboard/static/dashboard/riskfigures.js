/* Distance to the stop-out, cost of closing and worst case on the pages of accounts, bots and cycles.
 *
 * The first two move with every mark; the worst case is the engine's, and its words are fetched when it says so.
 * A figure is an element with data-risk ("to-stop-out", "cost-to-close", "worst" or "floating"), data-account, and data-bot,
 * data-cycle or data-identifier where it is about a part. The protocol is described in docs/websocket.md.
 */
"use strict";

const RiskFigures = (() => {
  const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const NOTHING = "–";

  /** What an account has above the broker's stop-out level, in its currency; null while nothing is known. */
  function aboveStopOut(account) {
    const known = account.equity !== null && account.margin !== null && typeof account.stop_out === "number";
    return known ? account.equity - (account.margin * account.stop_out) / 100 : null;
  }

  /** How many pips a symbol may still run before the account is stopped out; null where no price of it does. */
  function pipsLeft(account, symbol, quote) {
    const stop = (account.stops || {})[symbol];
    if (!stop || stop[0] === null || !quote) return null;
    return Math.abs(quote[0] - stop[0]) / stop[1];
  }

  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + money.format(Math.abs(value));
  const amount = (value) => (value < 0 ? "−" : "") + money.format(Math.abs(value));

  return { aboveStopOut, pipsLeft, signed, amount, NOTHING };
})();

(() => {
  const RETRY_MS = 2000;
  const UP = "text-green-700 dark:text-green-400 whitespace-nowrap";
  const DOWN = "text-red-700 dark:text-red-400 whitespace-nowrap";
  const figures = [...document.querySelectorAll("[data-risk]")];
  const box = document.getElementById("desk-alarms");
  if (figures.length === 0 || !box) return;
  const wanted = [...new Set(figures.map((figure) => Number(figure.dataset.account)))];
  const accounts = new Map();
  const quotes = new Map();
  const fetching = new Set();
  let legs = new Map();

  async function fetchWorst(account) {
    const mine = figures.filter((figure) => figure.dataset.risk === "worst" && Number(figure.dataset.account) === account);
    if (mine.length === 0 || fetching.has(account)) return;
    fetching.add(account);
    try {
      const parts = mine.flatMap(({ dataset }) => (dataset.cycle ? [["cycle", dataset.cycle]] : dataset.bot ? [["bot", dataset.bot]] : []));
      const answer = await fetch(box.dataset.worst + account + "/?" + new URLSearchParams(parts));
      if (!answer.ok || answer.redirected) return;
      const found = await answer.json();
      for (const figure of mine) {
        const { bot, cycle } = figure.dataset;
        const text = cycle ? found.cycles[cycle] : bot ? found.bots[bot] : found.account;
        if (text !== undefined) figure.innerHTML = text;
      }
    } catch {
      // The engine tells again in some seconds
    } finally {
      fetching.delete(account);
    }
  }

  function takeSnapshot(frame) {
    accounts.clear();
    for (const account of frame.accounts) accounts.set(account.id, account);
    legs = new Map();
    const keep = (leg, bot, cycle) => {
      legs.set(leg.account + ":" + leg.identifier, { ...leg, bot, cycle });
      // The price of a position is its side's closing price: near enough until a quote comes
      if (leg.price && !quotes.has(leg.account + ":" + leg.symbol)) quotes.set(leg.account + ":" + leg.symbol, [leg.price]);
    };
    for (const cycle of frame.cycles) for (const leg of cycle.legs) keep(leg, cycle.bot, cycle.id);
    for (const leg of frame.loose) keep(leg, null, null);
  }

  function takeMarks(account, delta) {
    Object.assign(account, { equity: delta.equity, margin: delta.margin });
    const open = new Set();
    delta.identifiers.forEach((identifier, n) => {
      const key = account.id + ":" + identifier;
      open.add(key);
      const leg = legs.get(key) || { account: account.id, identifier, bot: null, cycle: null, symbol: "" };
      legs.set(key, Object.assign(leg, { profit: delta.profits[n], swap: delta.swaps[n] }));
    });
    for (const [key, leg] of legs) if (leg.account === account.id && leg.status !== "pending" && !open.has(key)) legs.delete(key);
  }

  function partOf(figure) {
    const { account, bot, cycle } = figure.dataset;
    const of = (leg) => (cycle ? leg.cycle === Number(cycle) : bot ? leg.bot === Number(bot) : leg.account === Number(account));
    return [...legs.values()].filter(of);
  }

  /** A position's floating profit, coloured; one that is no longer open keeps what was seen last. */
  function floating(figure) {
    const leg = legs.get(figure.dataset.account + ":" + figure.dataset.identifier);
    if (!leg || leg.profit === null || leg.profit === undefined) return null;
    const value = Math.round((leg.profit + (leg.swap || 0)) * 100) / 100;
    const inner = figure.firstElementChild || figure;
    if (inner !== figure) inner.className = value > 0 ? UP : value < 0 ? DOWN : "";
    return value === 0 ? "0.00" : (value > 0 ? "▲ " : "▼ ") + RiskFigures.signed(value);
  }

  function written(figure) {
    const account = accounts.get(Number(figure.dataset.account));
    if (!account || figure.dataset.risk === "worst") return null;
    if (figure.dataset.risk === "floating") return floating(figure);
    const part = partOf(figure);
    if (figure.dataset.risk === "cost-to-close") {
      return RiskFigures.signed(part.reduce((sum, leg) => sum + (leg.profit || 0) + (leg.swap || 0), 0));
    }
    const above = RiskFigures.aboveStopOut(account);
    if (above === null) return null;
    const symbols = [...new Set(part.map((leg) => leg.symbol))].filter(Boolean).sort();
    const prices = symbols.flatMap((symbol) => {
      const pips = RiskFigures.pipsLeft(account, symbol, quotes.get(account.id + ":" + symbol));
      return pips === null ? [] : [symbol + " at " + account.stops[symbol][0] + " (" + pips.toFixed(1) + " pips)"];
    });
    const whole = RiskFigures.amount(above) + " " + account.currency + " above " + account.stop_out + " % of the margin in use";
    return [whole, ...prices].join("; ");
  }

  function show() {
    for (const figure of figures) {
      const text = written(figure);
      const shown = figure.firstElementChild || figure;
      if (text !== null && shown.textContent !== text) shown.textContent = text;
    }
  }

  function take(frame, socket) {
    const account = accounts.get(frame.account);
    if (frame.type === "snapshot") takeSnapshot(frame);
    else if (!account || frame.delta.resync || frame.kind === "order" || frame.kind === "cycle") socket.send(JSON.stringify({ type: "snapshot" }));
    else if (frame.kind === "marks") takeMarks(account, frame.delta);
    else if (frame.kind === "risk") {
      Object.assign(account, { stop_out: frame.delta.stop_out, stops: frame.delta.stops });
      fetchWorst(account.id);
    }
    else if (frame.kind === "prices") for (const [symbol, quote] of Object.entries(frame.delta.quotes || {})) quotes.set(account.id + ":" + symbol, quote);
    show();
  }

  function connect() {
    const url = new URL(box.dataset.socket, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", accounts: wanted, kinds: ["marks", "risk", "prices", "order", "cycle"] }));
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      if (frame.type === "heartbeat") socket.send(JSON.stringify({ type: "ack", n: frame.n }));
      else if (frame.type === "snapshot" || frame.type === "delta") take(frame, socket);
    };
    socket.onclose = () => setTimeout(connect, RETRY_MS);
  }

  connect();
})();
