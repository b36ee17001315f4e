/* The statistics page: the balance as a line, in the page's own colours. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const holder = document.getElementById("balance-chart");
  if (!holder) return;
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const colour = (name) => getComputedStyle(document.getElementById("desk")).getPropertyValue(name).trim();
  const chart = LightweightCharts.createChart(holder, { autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: true }, rightPriceScale: { scaleMargins: { top: 0.1, bottom: 0.1 } } });
  const line = chart.addSeries(LightweightCharts.LineSeries, { lineWidth: 2, priceFormat: { type: "price", precision: 2, minMove: 0.01 } });
  line.setData(data.points.map(([time, value]) => ({ time, value })));

  function paint() {
    const grid = { color: colour("--desk-line") };
    chart.applyOptions({ layout: { background: { color: "transparent" }, textColor: colour("--desk-text") }, grid: { vertLines: grid, horzLines: grid }, timeScale: { borderColor: grid.color }, rightPriceScale: { borderColor: grid.color } });
    line.applyOptions({ color: colour("--desk-buy") });
  }
  paint();
  chart.timeScale().fitContent();
  new MutationObserver(paint).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
});
