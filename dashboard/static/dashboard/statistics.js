/* The statistics page: balance, drawdown and days as charts, in the page's own colours. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("chart-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const colour = (name) => getComputedStyle(document.getElementById("desk")).getPropertyValue(name).trim();
  const money = { type: "price", precision: 2, minMove: 0.01 };
  const drawn = [];

  /** Draw a series where its holder is on the page; `inks` says its colours each time the page's change. */
  function draw(id, kind, options, points, inks) {
    const holder = document.getElementById(id);
    if (!holder || points.length === 0) return;
    const chart = LightweightCharts.createChart(holder, { autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: true }, rightPriceScale: { scaleMargins: { top: 0.1, bottom: 0.1 } } });
    const series = chart.addSeries(kind, { priceFormat: money, ...options });
    const paint = () => {
      const grid = { color: colour("--desk-line") };
      chart.applyOptions({ layout: { background: { color: "transparent" }, textColor: colour("--desk-text") }, grid: { vertLines: grid, horzLines: grid }, timeScale: { borderColor: grid.color }, rightPriceScale: { borderColor: grid.color } });
      series.applyOptions(inks());
      series.setData(points.map(([time, value]) => ({ time, value, ...(kind === LightweightCharts.HistogramSeries ? { color: colour(value < 0 ? "--desk-loss" : "--desk-gain") } : {}) })));
    };
    paint();
    chart.timeScale().fitContent();
    drawn.push(paint);
  }

  let peak = -Infinity;
  const falls = data.points.map(([time, balance]) => {
    peak = Math.max(peak, balance);
    return [time, peak > 0 ? (100 * (balance - peak)) / peak : 0];
  });
  draw("balance-chart", LightweightCharts.LineSeries, { lineWidth: 2 }, data.points, () => ({ color: colour("--desk-buy") }));
  draw("fall-chart", LightweightCharts.AreaSeries, { lineWidth: 1, invertFilledArea: true }, falls, () => ({ lineColor: colour("--desk-loss"), topColor: colour("--desk-loss") + "33", bottomColor: colour("--desk-loss") + "33" }));
  draw("days-chart", LightweightCharts.HistogramSeries, {}, data.days, () => ({ color: colour("--desk-gain") }));
  new MutationObserver(() => drawn.forEach((paint) => paint())).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
});
