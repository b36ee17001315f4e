/* A price chart: kept bars, the last one moving with the feed, fills as markers, open legs and coming levels as lines.
 *
 * Reads #chart-data: bars, fills, lines, account, symbol, seconds, digits, and optionally cycle, to which it is then limited.
 */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const holder = document.getElementById("price-chart");
  if (!holder) return;
  const { LineStyle } = LightweightCharts;
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const LOOK_MS = 2000;
  const LOOKS_MAX = 15;
  const TITLES_MAX = 16;
  const colour = (name) => getComputedStyle(document.getElementById("desk")).getPropertyValue(name).trim();
  const chart = LightweightCharts.createChart(holder, {
    autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: data.seconds < 86400, secondsVisible: false, rightOffset: 4 },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal }, localization: { timeFormatter: (at) => new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC" },
  });
  const series = chart.addSeries(LightweightCharts.CandlestickSeries, {
    priceFormat: { type: "price", precision: data.digits, minMove: 10 ** -data.digits }, borderVisible: false,
    autoscaleInfoProvider: (original) => widened(original()),
  });
  const markers = LightweightCharts.createSeriesMarkers(series, []);
  const drawn = new Map();
  let last = null;
  let bars = [];
  let wanted = [];

  /** Let lines near the bars be seen: those of this cycle all, others as far as the bars reach twice. */
  function widened(info) {
    if (info === null) return null;
    const range = info.priceRange;
    const reach = (range.maxValue - range.minValue) * (data.cycle ? 6 : 1);
    for (const line of wanted) {
      if (line.price < range.minValue - reach || line.price > range.maxValue + reach) continue;
      range.minValue = Math.min(range.minValue, line.price);
      range.maxValue = Math.max(range.maxValue, line.price);
    }
    return info;
  }

  function takeBars(found, fills) {
    bars = found;
    const moving = last;
    series.setData(found.map(([time, open, high, low, close]) => ({ time, open, high, low, close })));
    const newest = found.length ? found[found.length - 1] : null;
    last = newest === null ? null : { time: newest[0], open: newest[1], high: newest[2], low: newest[3], close: newest[4] };
    if (moving !== null && last !== null && moving.time > last.time) series.update((last = moving));
    data.fills = fills;
    takeFills(fills);
    holder.hidden = found.length === 0;
    document.getElementById("chart-empty").hidden = found.length > 0;
    holder.dataset.bars = String(found.length);
  }

  function takeFills(fills) {
    const times = bars.map((bar) => bar[0]);
    const place = (at) => {
      let low = 0;
      let high = times.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (times[middle] <= at) low = middle + 1;
        else high = middle;
      }
      return times[Math.max(0, low - 1)];
    };
    // One marker per bar, kind and side, or busy minutes would fill the chart
    const groups = new Map();
    for (const fill of times.length === 0 ? [] : fills) {
      const time = place(fill.at);
      const key = [time, fill.kind, fill.side].join();
      const group = groups.get(key) || { time, entry: fill.kind === "entry", buy: fill.side === "buy", count: 0, lots: 0, result: 0 };
      group.count += 1;
      group.lots += fill.lots;
      group.result += fill.result || 0;
      groups.set(key, group);
    }
    markers.setMarkers(
      [...groups.values()].sort((a, b) => a.time - b.time).map((group) => ({
        time: group.time, position: group.buy === group.entry ? "belowBar" : "aboveBar", size: 1,
        shape: group.entry ? (group.buy ? "arrowUp" : "arrowDown") : "circle",
        color: colour(group.entry ? (group.buy ? "--desk-buy" : "--desk-loss") : group.result < 0 ? "--desk-loss" : "--desk-gain"),
        text: (group.count > 1 ? group.count + " × " : "") + (group.entry ? group.lots.toFixed(2) : Show.gain(group.result)),
      }))
    );
    holder.dataset.fills = String(fills.length);
  }

  /** Move the last bar; a new one starts when its time has come. */
  function takePrice(bid) {
    if (last === null || !(bid > 0)) return;
    const now = Desk.serverNow() / 1000;
    const steps = Math.floor((now - last.time) / data.seconds);
    if (steps < 0) return;
    if (steps > 0) {
      const time = last.time + steps * data.seconds;
      if (steps > 1 && bars.length && time - bars[bars.length - 1][0] > 2 * data.seconds) fetchBars();
      last = { time, open: bid, high: bid, low: bid, close: bid };
    } else last = { ...last, high: Math.max(last.high, bid), low: Math.min(last.low, bid), close: bid };
    series.update(last);
    holder.dataset.close = bid.toFixed(data.digits);
  }

  function legsOf(store) {
    const all = [...store.cycles.flatMap((cycle) => cycle.legs.map((leg) => ({ ...leg, cycle: cycle.id }))), ...store.loose];
    return all.filter((leg) => leg.account === data.account && leg.symbol === data.symbol && (!data.cycle || leg.cycle === data.cycle));
  }

  function linesOf(legs, ask) {
    const lines = [];
    for (const leg of legs) {
      const word = (leg.side === "buy" ? "Buy " : "Sell ") + leg.volume.toFixed(2);
      lines.push({ key: "leg" + leg.id, price: leg.price_open, title: word, tone: leg.side === "buy" ? "--desk-buy" : "--desk-loss", style: leg.status === "pending" ? LineStyle.Dotted : LineStyle.Solid });
      if (leg.sl) lines.push({ key: "sl" + leg.id, price: leg.sl, title: "S/L", tone: "--desk-loss", style: LineStyle.Dashed });
      if (leg.tp) lines.push({ key: "tp" + leg.id, price: leg.tp, title: "T/P", tone: "--desk-gain", style: LineStyle.Dashed });
    }
    const tones = { target: "--desk-gain", stop: "--desk-loss", zone: "--desk-faint", level: "--desk-faint", worst: "--desk-loss" };
    const styles = { zone: LineStyle.LargeDashed, level: LineStyle.Dotted };
    for (const line of data.lines) lines.push({ key: line.kind + line.title, price: line.price, title: line.title, tone: tones[line.kind] || "--desk-faint", style: styles[line.kind] === undefined ? LineStyle.Dashed : styles[line.kind] });
    if (ask) lines.push({ key: "ask", price: ask, title: "", tone: "--desk-faint", style: LineStyle.SparseDotted, silent: true });
    return lines;
  }

  function drawLines(lines) {
    wanted = lines;
    const named = lines.length <= TITLES_MAX;
    const gone = new Set(drawn.keys());
    for (const line of lines) {
      gone.delete(line.key);
      const options = { price: line.price, color: colour(line.tone), lineWidth: 1, lineStyle: line.style, title: named ? line.title : "", axisLabelVisible: named && !line.silent };
      const written = JSON.stringify(options);
      const known = drawn.get(line.key);
      if (!known) drawn.set(line.key, { written, line: series.createPriceLine(options) });
      else if (known.written !== written) {
        known.line.applyOptions(options);
        known.written = written;
      }
    }
    for (const key of gone) {
      series.removePriceLine(drawn.get(key).line);
      drawn.delete(key);
    }
    holder.dataset.lines = lines.map((line) => line.title).filter(Boolean).join(", ");
  }

  function paint() {
    const grid = { color: colour("--desk-line") };
    chart.applyOptions({ layout: { background: { color: "transparent" }, textColor: colour("--desk-text") }, grid: { vertLines: grid, horzLines: grid }, timeScale: { borderColor: grid.color }, rightPriceScale: { borderColor: grid.color } });
    const [up, down] = [colour("--desk-gain"), colour("--desk-loss")];
    series.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    drawLines(wanted);
  }

  function render(store) {
    if (document.getElementById("desk-pill")) Show.freshness();
    const quote = store.quotes.get(data.account + ":" + data.symbol);
    const legs = legsOf(store);
    if (quote) takePrice(quote[0]);
    drawLines(linesOf(legs, quote ? quote[1] : null));
    const floating = legs.reduce((sum, leg) => sum + (leg.profit || 0) + (leg.swap || 0), 0);
    for (const leg of data.cycle ? legs : []) {
      const cell = document.querySelector('[data-leg="' + leg.id + '"]');
      if (cell && leg.profit !== null) Show.tick(cell, leg.profit + leg.booked, Show.gain(leg.profit + leg.booked), true);
    }
    const whole = data.cycle ? store.cycles.find((cycle) => cycle.id === data.cycle) : null;
    if (whole) {
      const worth = whole.realized + floating + legs.reduce((sum, leg) => sum + leg.booked + leg.commission, 0);
      Show.tick(document.getElementById("cycle-net"), worth, Show.gain(worth), true);
      Show.tick(document.getElementById("cycle-floating"), floating, Show.gain(floating), true);
      Show.text(document.getElementById("cycle-age"), Show.age(Desk.serverNow() - Date.parse(whole.opened_at)));
    }
    const net = legs.filter((leg) => leg.status === "open").reduce((sum, leg) => sum + (leg.side === "buy" ? leg.volume : -leg.volume), 0);
    const spread = quote ? Math.round((quote[1] - quote[0]) * 10 ** data.digits) : null;
    const figures = document.getElementById("chart-figures");
    figures.classList.toggle("desk-gain", floating >= 0.005);
    figures.classList.toggle("desk-loss", floating <= -0.005);
    Show.text(figures, (quote ? quote.map((price) => price.toFixed(data.digits)).join(" / ") + " · spread " + spread + " points · " : "") + legs.length + (legs.length === 1 ? " leg" : " legs") + (legs.length ? ", net " + (net < 0 ? "−" : "+") + Math.abs(net).toFixed(2) + " lots, " + Show.gain(floating) : ""));
  }

  const query = new URLSearchParams({ account: data.account, symbol: data.symbol, seconds: data.seconds, ...(data.cycle ? { cycle: data.cycle } : {}) });
  let fetching = false;

  /** Ask the engine for the newest bars, then look until they are there. */
  async function fetchBars() {
    if (fetching || !data.runs) return;
    fetching = true;
    const token = document.querySelector("[name=csrfmiddlewaretoken]");
    try {
      await fetch(data.fetch_url, { method: "POST", body: query, headers: { "X-CSRFToken": token ? token.value : "" } });
      for (let n = 0; n < LOOKS_MAX; n += 1) {
        await new Promise((done) => setTimeout(done, LOOK_MS));
        const answer = await fetch(data.bars_url + "?" + query);
        if (!answer.ok) break;
        const found = await answer.json();
        if (found.bars.length === 0 || Date.now() / 1000 - found.bars[found.bars.length - 1][0] > 2.5 * data.seconds) continue;
        takeBars(found.bars, found.fills);
        break;
      }
    } catch {
      // The banner of the feed says that the site is away
    }
    setTimeout(() => (fetching = false), 60000);
  }

  Desk.start(render);
  paint();
  takeBars(data.bars, data.fills);
  const began = data.cycle && data.fills.length ? data.bars.findIndex((bar) => bar[0] + data.seconds > data.fills[0].at) : -1;
  const from = began >= 0 ? Math.min(began - 15, data.bars.length - 40) : data.bars.length - 120;
  chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, from), to: data.bars.length + 4 });
  const newest = data.bars.length ? data.bars[data.bars.length - 1][0] : 0;
  if (data.is_open !== false && Desk.serverNow() / 1000 - newest > 2.5 * data.seconds) fetchBars();
  new MutationObserver(() => {
    paint();
    takeFills(data.fills);
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
});
