/* Keeps the banner of alarms fresh: the live bus says when to fetch it, and the countdown ticks in between. */
"use strict";

(() => {
  const REFRESH_MS = 15000;
  const RETRY_MS = 2000;
  const TICK_MS = 250;
  const box = document.getElementById("desk-alarms");
  let fetching = false;
  let again = false;

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(box.dataset.url, { headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) {
        box.innerHTML = (await answer.text()).trim();
        if (window.htmx) window.htmx.process(box);
      }
    } catch {
      // The next look comes anyway
    } finally {
      fetching = false;
      tick();
      if (again) {
        again = false;
        refresh();
      }
    }
  }

  /** Count down by the server's clock: each line says when it was written. */
  function tick() {
    for (const count of box.querySelectorAll("[data-deadline]")) {
      if (!count.dataset.seen) count.dataset.seen = String(performance.now());
      const left = Date.parse(count.dataset.deadline) - Date.parse(count.dataset.now) - (performance.now() - Number(count.dataset.seen));
      const text = left > 0 ? "Closes in " + Math.ceil(left / 1000) + " s" : "Closing";
      if (count.textContent !== text) count.textContent = text;
    }
  }

  function connect() {
    const url = new URL(box.dataset.socket, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      if (frame.type === "heartbeat") socket.send(JSON.stringify({ type: "ack", n: frame.n }));
      else if (frame.type === "snapshot" || (frame.type === "delta" && (frame.kind === "alarm" || frame.delta.resync))) refresh();
    };
    socket.onclose = () => setTimeout(connect, RETRY_MS);
  }

  tick();
  connect();
  setInterval(tick, TICK_MS);
  setInterval(refresh, REFRESH_MS);
})();
