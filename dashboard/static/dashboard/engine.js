/* The engine page: asks the API every two seconds and redraws. What it shows has an age, and old figures say so. */
"use strict";

(function () {
    const EVERY_MS = 2000;
    const STALE_MS = 6000;
    const BADGES = {
        healthy: "success", degraded: "warning", unhealthy: "danger", running: "success", paused: "warning", starting: "info",
        stopped: "info", error: "danger", silent: "danger",
    };
    const start = JSON.parse(document.getElementById("engine-data").textContent);
    const at = (id) => document.getElementById(id);
    let shown = start.performance;
    let shownAt = Date.now();
    let trouble = "";

    function cell(label, content, kind) {
        const td = document.createElement("td");
        td.dataset.label = label;
        if (kind) td.className = kind;
        td.append(content === null || content === undefined || content === "" ? "–" : content);
        return td;
    }
    const number = (label, value) => cell(label, value, "desk-number");

    function badge(word, text) {
        const span = document.createElement("span");
        span.className = `desk-badge desk-badge-${BADGES[word] || "info"}`;
        span.textContent = text || word;
        return span;
    }

    function rows(id, items, draw) {
        at(id).replaceChildren(...items.map((item) => {
            const tr = document.createElement("tr");
            tr.append(...draw(item, tr));
            return tr;
        }));
    }

    function age(text, now) {
        if (!text) return "never";
        const seconds = Math.max(0, Math.round((Date.parse(now) - Date.parse(text)) / 1000));
        if (seconds < 120) return `${seconds} s`;
        return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
    }

    const ms = (figures, key) => (figures && figures[key] !== undefined ? figures[key].toFixed(1) : "–");

    function lag(account) {
        const all = Object.values(account.jobs).map((job) => job.lag_p95_ms || 0);
        return all.length ? Math.max(...all).toFixed(1) : "–";
    }

    function why(account) {
        const bad = account.components.filter((part) => part.health !== "healthy");
        if (bad.length) return bad.map((part) => `${part.name}: ${part.reason}`).join("; ");
        const phase = account.start_up.find((one) => one.state === "running");
        return account.status === "starting" && phase ? `${phase.name} ${phase.done} of ${phase.total}` : "";
    }

    function account(one, tr) {
        tr.classList.toggle("is-failing", one.health === "unhealthy");
        const link = document.createElement("a");
        link.className = "desk-link";
        link.href = start.account.replace("/0/", `/${one.id}/`);
        link.textContent = one.name;
        const state = document.createElement("span");
        state.append(badge(one.silent ? "silent" : one.status), " ");
        if (one.health !== "healthy") state.append(badge(one.health));
        return [
            cell("Account", link, "desk-first"), cell("State", state), cell("Why", why(one), "desk-wide"),
            number("Positions", one.active_positions_count), number("Events/min", one.events_per_minute),
            number("Orders", ms(one.jobs.orders, "p95_ms")), number("Realtime", ms(one.jobs.realtime, "p95_ms")),
            number("Strategies", ms(one.stages.strategies, "p95_ms")), number("Query", ms(one.queries, "p95_ms")),
            number("Lag", lag(one)), number("Broker errors", one.connection_errors), number("Age", age(one.updated_at, shown.at)),
        ];
    }

    function host(one, tr) {
        const isHost = one.pid === undefined;
        const bad = isHost ? one.components.filter((part) => part.health !== "healthy") : [];
        const worst = bad.some((part) => part.health === "unhealthy") || one.problem ? "unhealthy" : bad.length ? "degraded" : "healthy";
        tr.classList.toggle("is-failing", isHost ? worst === "unhealthy" : one.silent);
        const state = isHost ? badge(worst, one.problem || bad.map((part) => part.name).join(", ") || worst)
            : badge(one.silent ? "silent" : "healthy", one.silent ? "silent" : one.stop_requested ? "stopping" : "runs");
        const memory = isHost ? `${one.memory_percent.toFixed(0)} %` : `${(one.rss_bytes / 2 ** 20).toFixed(0)} MB`;
        return [
            cell("Process", isHost ? `host, ${one.runners} runners` : `${one.role} ${one.pid}`, "desk-first"), cell("Host", one.host),
            cell("State", state), number("CPU", `${one.cpu_percent.toFixed(0)} %`), number("Memory", memory),
            number("Disk free", isHost ? `${(one.disk_free_bytes / 1e9).toFixed(1)} GB` : ""), number("Handles", isHost ? "" : one.handles),
            number("Restarts", isHost ? "" : one.restarts),
            number("Clock ahead", isHost && one.clock_skew_seconds !== null ? `${one.clock_skew_seconds.toFixed(3)} s` : ""),
            number("Seen", age(one.seen_at, shown.at)),
        ];
    }

    function draw() {
        rows("engine-parts", shown.components, (part, tr) => {
            tr.classList.toggle("is-failing", part.health === "unhealthy");
            return [cell("Part", part.name, "desk-first"), cell("Health", badge(part.health)), cell("Reason", part.reason, "desk-wide")];
        });
        rows("engine-accounts", shown.accounts, account);
        at("engine-no-accounts").hidden = shown.accounts.length > 0;
        const averages = Object.entries(shown.averages);
        rows("engine-averages", averages, ([name, figures]) => [
            cell("Job or stage", name, "desk-first"), number("Average", ms(figures, "avg_ms")), number("p95", ms(figures, "p95_ms")),
        ]);
        at("engine-no-averages").hidden = averages.length > 0;
        rows("engine-hosts", [...shown.hosts, ...shown.processes], host);
        at("engine-hosts-panel").hidden = !shown.hosts.length && !shown.processes.length;
        const bad = shown.components.filter((part) => part.health !== "healthy");
        const banner = at("engine-banner");
        banner.hidden = !bad.length;
        banner.className = `desk-banner desk-banner-${shown.health === "unhealthy" ? "danger" : "warning"}`;
        banner.textContent = bad.map((part) => `${part.name}: ${part.reason}`).join(" · ");
        tell();
    }

    function tell() {
        const stale = Date.now() - shownAt > STALE_MS;
        const pill = at("engine-pill");
        pill.classList.toggle("is-live", !stale && shown.health === "healthy");
        pill.textContent = stale ? `Stale: ${trouble || "no answer"}, figures of ${new Date(shownAt).toLocaleTimeString()}`
            : `Engine ${shown.status}, ${shown.health}`;
        at("desk").classList.toggle("is-stale", stale);
    }

    async function ask() {
        try {
            const answer = await fetch(start.url, { credentials: "same-origin", signal: AbortSignal.timeout(5000) });
            if (answer.status === 401 || answer.status === 403) {
                location.assign(`${start.login}?next=${encodeURIComponent(location.pathname)}`);
                return;
            }
            if (!answer.ok) throw new Error(answer.status === 500 ? "the site has trouble, perhaps its database is away" : `the site answers ${answer.status}`);
            shown = await answer.json();
            shownAt = Date.now();
            trouble = "";
            draw();
        } catch (problem) {
            trouble = problem.name === "TimeoutError" ? "the site does not answer" : problem.message;
            tell();
        }
    }

    async function follow() {
        if (!document.hidden) await ask();
        setTimeout(follow, EVERY_MS);
    }

    draw();
    setTimeout(follow, EVERY_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
})();
