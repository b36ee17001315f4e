"""What a search comes to: as plain values for `--json`, as lines for a terminal, and as one HTML page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from backtesting.optimise.search import Fold, Search, over_folds
from backtesting.optimise.space import Objective
from backtesting.optimise.verdict import Heat, Trial, heat_of, pareto, peak_of, ranked
from backtesting.report import document, shown, text_of
from backtesting.report.charts import Frame, moment
from backtesting.report.values import LABELS

SHOWN = 20
DAY = 86_400.0
KINDS = {name: (label, kind) for name, label, kind in LABELS}


def outcome_of(search: Search, folds: Sequence[Fold], heat: Sequence[str] = ()) -> dict[str, Any]:
    """Return everything as JSON can hold it."""
    trials = over_folds(folds, search.objectives)
    judged = ranked(trials, search.objectives, search.closed_min)
    peak, chart = peak_of(judged, search.space), heat_of(judged, search.space, heat)
    problems = sorted({str(t.figures["problem"]) for t in trials if "problem" in t.figures})
    return {
        "sampler": search.sampler,
        "sets": len(trials),
        "of": len(search.space),
        "judged": len(judged),
        "problems": problems[:SHOWN],
        "objectives": [{"name": o.name, "way": "max" if o.is_more_better else "min"} for o in search.objectives],
        "best": [_row(search, trial) for trial, _ in judged[:SHOWN]],
        "pareto": [_row(search, trial) for trial, _ in pareto(judged)],
        "points": [_point(search.objectives, t) for t, _ in judged] if len(search.objectives) > 1 else [],
        "peak": {"neighbours": peak.neighbours, "lead": _finite(peak.lead), "kept": peak.kept, "warning": peak.warning},
        "heat": None if chart is None else _heat(chart, search.objectives[0]),
        "folds": [_fold(search, fold) for fold in folds] if search.folds else [],
        "walk_forward": _walk(search, folds) if search.folds else None,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(search: Search, trial: Trial) -> dict[str, Any]:
    figures = {o.name: _finite(trial.figures.get(o.name)) for o in search.objectives}
    return {"values": search.space.values(trial.number), "figures": figures, "closed": trial.figures["closed"]}


def _point(objectives: Sequence[Objective], trial: Trial) -> list[Any]:
    return [_finite(trial.figures.get(o.name)) for o in objectives[:2]]


def _heat(heat: Heat, objective: Objective) -> dict[str, Any]:
    sign = 1 if objective.is_more_better else -1
    return {
        "down": heat.down,
        "across": heat.across,
        "down_values": list(heat.down_values),
        "across_values": list(heat.across_values),
        "cells": [[None if score is None else sign * score for score in row] for row in heat.cells],
    }


def _fold(search: Search, fold: Fold) -> dict[str, Any]:
    names = ["net", "closed", *(o.name for o in search.objectives if o.name != "net")]
    return {
        "begin": fold.begin,
        "tested_from": fold.tested_from,
        "end": fold.end,
        "values": None if fold.best is None else search.space.values(fold.best.number),
        "trained": None if fold.best is None else {n: _finite(fold.best.figures.get(n)) for n in names},
        "tested": None if fold.tested is None else {n: _finite(fold.tested.get(n)) for n in names},
    }


def _walk(search: Search, folds: Sequence[Fold]) -> dict[str, Any]:
    """Sum up what the chosen sets brought where they were not trained, beside where they were.

    `efficiency` is the net a day of the tested parts over that of the trained ones (Pardo 2008, "walk-forward
    efficiency"); None where training brought nothing.
    """
    chosen = [f for f in folds if f.best is not None and f.tested is not None and "net" in f.tested]
    trained = sum(f.best.figures["net"] for f in chosen if f.best is not None)
    tested = sum(f.tested["net"] for f in chosen if f.tested is not None)
    days = sum(f.tested_from - f.begin for f in chosen) / DAY, sum(f.end - f.tested_from for f in chosen) / DAY
    efficiency = (tested / days[1]) / (trained / days[0]) if chosen and trained > 0 else None
    won = sum(f.tested["net"] > 0 for f in chosen if f.tested is not None)
    warning = ""
    if not chosen:
        warning = "In no fold a set closed enough cycles to be chosen."
    elif efficiency is None or efficiency < 0.5:
        warning = "Where the sets were not trained they brought less than half of what training promised."
    return {
        "net_trained": round(trained, 2), "net_tested": round(tested, 2), "efficiency": efficiency,
        "folds_won": won, "folds": len(folds), "warning": warning,
    }  # fmt: skip


# Texts


def values_text(values: Mapping[str, Any] | None) -> str:
    """Write a set's values."""
    return (
        "–"
        if values is None
        else ", ".join(f"{n}={v:g}" if isinstance(v, float) else f"{n}={v}" for n, v in values.items())
    )


def figures_text(figures: Mapping[str, Any]) -> str:
    """Write a set's figures with their names."""
    parts = (f"{KINDS[n][0].lower()} {shown(v, KINDS[n][1])}" for n, v in figures.items() if n in KINDS)
    return ", ".join(parts)


def lines_of(outcome: Mapping[str, Any]) -> list[str]:
    """Write the outcome for a terminal."""
    lines = [
        f"{outcome['sets']:,} of {outcome['of']:,} sets ({outcome['sampler']}), {outcome['judged']:,} can be judged"
    ]
    lines += [f"not replayed: {problem}" for problem in outcome["problems"]]
    if outcome["peak"]["warning"]:
        lines.append(f"WARNING: {outcome['peak']['warning']}")
    lines.append("best:")
    lines += [f"  {values_text(row['values'])}: {figures_text(row['figures'])}" for row in outcome["best"][:10]]
    if len(outcome["objectives"]) > 1:
        lines.append("no other set beats these:")
        lines += [f"  {values_text(row['values'])}: {figures_text(row['figures'])}" for row in outcome["pareto"][:10]]
    for n, fold in enumerate(outcome["folds"], 1):
        trained, tested = ("–" if f is None else figures_text(f) for f in (fold["trained"], fold["tested"]))
        lines.append(f"fold {n}, tested from {moment(fold['tested_from'])}: {values_text(fold['values'])}")
        lines += [f"  trained: {trained}", f"  tested:  {tested}"]
    walk = outcome["walk_forward"]
    if walk is not None:
        text = "–" if walk["efficiency"] is None else f"{walk['efficiency']:.0%}"
        lines.append(
            f"walk-forward: {walk['net_tested']:,.2f} where not trained, {walk['net_trained']:,.2f} where trained, "
            f"efficiency {text}"
        )
        lines += [f"WARNING: {walk['warning']}"] if walk["warning"] else []
    return lines


def html(outcome: Mapping[str, Any], *, title: str, about: Mapping[str, Any]) -> str:
    """Return the outcome as one page that loads nothing from anywhere."""
    warnings = [outcome["peak"]["warning"], (outcome["walk_forward"] or {}).get("warning", "")]
    body = _table([[k, text_of(v)] for k, v in about.items()])
    body += "".join(f'<p role="alert"><b>⚠ {escape(text)}</b></p>' for text in warnings if text)
    body += f"<h2>Best sets</h2>{_sets(outcome['best'])}"
    if outcome["points"]:
        body += f"<h2>Pareto view</h2>{_scatter(outcome)}"
        body += "<p>No other set beats these in one objective without losing in another.</p>"
        body += _sets(outcome["pareto"])
    if outcome["heat"] is not None:
        body += f"<h2>Heat map</h2>{_heat_map(outcome)}"
    if outcome["folds"]:
        body += f"<h2>Walking forward</h2>{_folds(outcome)}"
    return document(title, body)


def _table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{top}</tr>" if top else ""}{lines}</table></div>'


def _sets(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>No set closed enough cycles to be judged.</p>"
    head = [*rows[0]["values"], *(KINDS[n][0] for n in rows[0]["figures"]), "Cycles closed"]
    return _table(
        [
            [
                *(f"{v:g}" if isinstance(v, float) else str(v) for v in row["values"].values()),
                *(shown(v, KINDS[n][1]) for n, v in row["figures"].items()),
                f"{row['closed']:g}",
            ]
            for row in rows
        ],
        head,
    )


def _scatter(outcome: Mapping[str, Any]) -> str:
    """Draw every judged set by its first two objectives; the ones that no other beats are marked."""
    names = [objective["name"] for objective in outcome["objectives"][:2]]
    points = [(x, y) for x, y in outcome["points"] if x is not None and y is not None]
    if not points:
        return "<p>There is nothing to draw.</p>"
    xs, ys = zip(*points, strict=True)
    # Dots at the edge are whole
    room = (max(xs) - min(xs)) * 0.02
    frame = Frame(min(xs) - room, max(xs) + room, min(ys), max(ys))
    front = [(r["figures"][names[0]], r["figures"][names[1]]) for r in outcome["pareto"]]
    drawn = [frame.stroke("bt-end bt-price", p, p) for p in points]
    drawn += [frame.stroke("bt-dot bt-equity", p, p) for p in front if None not in p]
    across, up = (KINDS[n][0] for n in names)
    return frame.figure(
        drawn, label=f"{up} over {across}", digits=2, ends=(f"{across} {min(xs):,.2f}", f"{max(xs):,.2f}"),
        legend={"equity": "Not beaten by another", "price": f"Other sets; {up.lower()} upwards"},
    )  # fmt: skip


def _heat_map(outcome: Mapping[str, Any]) -> str:
    heat, objective = outcome["heat"], outcome["objectives"][0]
    label, kind = KINDS[objective["name"]]
    known = [cell for row in heat["cells"] for cell in row if cell is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    head = "".join(f"<th>{escape(_plain(value))}</th>" for value in heat["across_values"])
    rows = []
    for value, row in zip(heat["down_values"], heat["cells"], strict=True):
        cells = "".join(_cell(cell, low, high, objective["way"], kind) for cell in row)
        rows.append(f"<tr><th>{escape(_plain(value))}</th>{cells}</tr>")
    return (
        f"<p>{escape(label)}, the median over all other parameters; {escape(heat['down'])} downwards, "
        f"{escape(heat['across'])} across.</p>"
        f'<div class="scroll"><table class="bt-heat"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(value: float | None, low: float, high: float, way: str, kind: str) -> str:
    if value is None:
        return "<td>–</td>"
    share = (value - low) / ((high - low) or 1.0)
    good = share if way == "max" else 1 - share
    return f'<td style="background:hsl({120 * good:.0f} 60% 50% / .35)">{shown(value, kind)}</td>'


def _folds(outcome: Mapping[str, Any]) -> str:
    walk = outcome["walk_forward"]
    efficiency = "–" if walk["efficiency"] is None else f"{walk['efficiency']:.0%}"
    rows = [
        [
            moment(fold["begin"]), moment(fold["tested_from"]), moment(fold["end"]), values_text(fold["values"]),
            *("–" if part is None else figures_text(part) for part in (fold["trained"], fold["tested"])),
        ]
        for fold in outcome["folds"]
    ]  # fmt: skip
    return (
        f"<p>Net where the sets were not trained: {walk['net_tested']:,.2f}; where they were: "
        f"{walk['net_trained']:,.2f}; efficiency (net a day, tested over trained): {efficiency}; "
        f"{walk['folds_won']} of {walk['folds']} folds won.</p>"
        + _table(rows, ("Trained from", "Tested from", "To", "Chosen", "Trained", "Tested"))
    )
