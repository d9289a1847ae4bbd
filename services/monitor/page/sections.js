// Each section is a function of the snapshot: it returns nodes and keeps nothing.

import { code, count, decimal, duration, h, pill, sparkline, time } from "./draw.js";

const CYCLES_SHOWN = 8;
const VERSIONS_SHOWN = 8;
const DECISIONS = { promoted: "good", held: "", rejected: "bad" };
const STATES = { aligned: "good", misaligned: "bad", undecided: "", drifting: "bad", coherent: "good" };
const OUTCOMES = { improved: "good", failed: "bad", stopped_by_budget: "warn" };

const CARDS = [
  ["drift", "Drift", "How far inputs, behaviour and errors have moved from their reference: 0 not at all, 1 entirely."],
  ["alignment", "Alignment", "Whether the model puts answers in the order that users do: 0 no better than chance, 1 always."],
  ["coherence", "Coherence", "Whether alike questions get alike scores, and right answers stay right: 1 when they always do."],
];

export function scores(chosen) {
  const cards = CARDS.map(([name, title, hint]) => card(title, hint, chosen.scores[name] || {}, chosen.cycles.map((c) => c[name])));
  const means = chosen.cycles.map((cycle) => cycle.feedback_mean);
  const last = chosen.cycles.at(-1);
  const feedback = { current: last?.feedback_mean ?? null, n: last?.events_count ?? 0 };
  cards.push(card("Feedback", "Mean score of the last cycle, from 0 to 1.", feedback, means));
  return cards;
}

function card(title, hint, score, history) {
  const known = score.current !== null && score.current !== undefined;
  const word = score.state ?? (score.drifted ? "drifting" : null);
  const state = word ? pill(word, STATES[word] || "") : null;
  return h("article", { class: "card" },
    h("h3", {}, title, state),
    h("p", { class: known ? "figure" : "figure collecting" }, known ? decimal(score.current) : "collecting"),
    h("p", { class: "detail" }, evidence(score, known)),
    h("p", { class: "hint" }, hint),
    sparkline(history, score.threshold, `${title} over the last ${history.length} cycles`),
    kinds(score.kinds));
}

function evidence(score, known) {
  const parts = [];
  const ranged = Number.isFinite(score.low) && Number.isFinite(score.high) && score.low !== score.high;
  if (known && ranged) parts.push(`${decimal(score.low)}\u00a0–\u00a0${decimal(score.high)}`);
  if (score.n !== null && score.n !== undefined) parts.push(`n\u00a0=\u00a0${count(score.n)}`);
  if (known && score.current > 0 && score.set_by) parts.push(`by\u00a0${score.set_by}`);
  if (known && score.worst_segment) parts.push(`worst:\u00a0${score.worst_segment.segment}\u00a0≥\u00a0${decimal(score.worst_segment.low)}`);
  return parts.join("  ·  ");
}

// What emerges in the loop: a line for each pattern that is there, and one for those that were.
export function patterns(found) {
  if (!found) return [];
  const active = new Set(found.active.map((item) => item.name));
  const past = Object.values(found.last_seen).filter((item) => !active.has(item.name));
  const said = (item) => `${words(item.name)} (cycle ${item.last_cycle})`;
  const rest = past.length ? `Seen before: ${past.map(said).join(", ")}.`
    : active.size ? null : `No pattern found. Watched for: ${found.watched.map(words).join(", ")}.`;
  return [
    ...found.active.map((item) => h("p", {}, pill(words(item.name), "warn"), " ", item.sentence,
      h("span", { class: "quiet" }, ` Since cycle ${item.since_cycle}.`))),
    rest ? h("p", { class: "quiet" }, rest) : null,
  ].filter(Boolean);
}

const words = (name) => name.replaceAll("_", " ");

function kinds(found) {
  if (!found || !Object.keys(found).length) return null;
  return h("div", { class: "kinds" }, Object.entries(found).flatMap(([kind, score]) => {
    const value = score !== null && typeof score === "object" ? score.current : score;
    return [
      h("span", {}, kind),
      h("progress", { max: 1, value: value ?? 0, "aria-label": kind }),
      h("span", {}, value === null || value === undefined ? "…" : decimal(value)),
    ];
  }));
}

export function counts(snapshot) {
  const system = snapshot.system.counts;
  const figure = (value, word) => h("div", {}, h("b", {}, count(value)), h("span", {}, word));
  const term = (sign, value, word) => h("div", { class: "term" }, h("div", { class: "sign", "aria-hidden": "true" }, sign), figure(value, word));
  const behind = system.accepted - system.monitored;
  const closes = system.monitored === system.trained + system.capped + system.distrusted + system.unlearnt + system.open;
  const verdict = !closes || behind < 0
    ? "The sums do not close: see the log of the monitor."
    : behind > 0 ? `${count(behind)} accepted and on their way here.` : "Accepted and monitored agree; nothing is lost, nothing counted twice.";
  return [
    h("div", { class: "sum" },
      figure(system.accepted, "accepted"), term("=", system.trained, "trained"),
      system.capped ? term("+", system.capped, "capped") : null,
      system.distrusted ? term("+", system.distrusted, "distrusted") : null,
      system.unlearnt ? term("+", system.unlearnt, "not learnt") : null,
      term("+", system.open, "in open cycles"),
      behind > 0 ? term("+", behind, "on their way") : null,
      h("div", { class: "apart" }, figure(system.monitored, "monitored"), figure(system.duplicate, "duplicates"),
        figure(system.dead_letters, "dead letters"))),
    h("p", { class: "verdict" }, verdict, " All loops together."),
  ];
}

export function cycles(chosen, cycleSize, showAll, onShowAll) {
  if (!chosen.cycles.length) return firstCycle(chosen.counts.open, cycleSize);
  const newest = chosen.cycles.toReversed();
  const shown = showAll ? newest : newest.slice(0, CYCLES_SHOWN);
  const head = ["Cycle", "Decision", "Events", "Feedback", "Drift", "Alignment", "Reasons", "Time"];
  const table = h("table", { class: "cycles" },
    h("thead", {}, h("tr", {}, head.map((word, index) => h("th", { class: index >= 2 && index <= 5 ? "number" : "" }, word)))),
    h("tbody", {}, shown.map(cycleRow)));
  const more = newest.length > CYCLES_SHOWN
    ? h("button", { class: "more", type: "button", onclick: onShowAll }, showAll ? "Show fewer" : `Show all ${newest.length}`) : null;
  return [h("div", { class: "scroll" }, table), more].filter(Boolean);
}

function firstCycle(open, cycleSize) {
  if (!cycleSize) return [h("p", { class: "quiet" }, `No cycle yet: ${count(open)} pieces of feedback wait for the first.`)];
  return [
    h("p", { class: "quiet" }, `No cycle yet: ${count(open)} of ${count(cycleSize)} pieces of feedback for the first.`),
    h("progress", { max: cycleSize, value: Math.min(open, cycleSize), "aria-label": "feedback for the first cycle" }),
  ];
}

function more(cycle) {
  const numbers = Object.entries(cycle.numbers);
  const reasons = cycle.reasons.slice(1);
  if (!numbers.length && !reasons.length) return null;
  const figure = (value) => (value === null ? "–" : Number.isInteger(value) ? count(value) : decimal(value, 4));
  return h("details", { "data-key": `cycle-${cycle.cycle}` }, h("summary", {}, "more"),
    reasons.length ? h("ul", {}, reasons.map((reason) => h("li", {}, reason))) : null,
    h("dl", { class: "numbers" }, numbers.map(([name, value]) =>
      h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, figure(value))))));
}

function cycleRow(cycle) {
  return h("tr", {},
    h("td", {}, `#${cycle.cycle}`),
    h("td", {}, pill(cycle.decision, DECISIONS[cycle.decision] || "")),
    h("td", { class: "number optional" }, count(cycle.events_count)),
    h("td", { class: "number optional" }, decimal(cycle.feedback_mean)),
    h("td", { class: "number optional" }, decimal(cycle.drift)),
    h("td", { class: "number optional" }, decimal(cycle.alignment)),
    h("td", { class: "words" }, cycle.reasons[0] || "", more(cycle)),
    h("td", { class: "number quiet when" }, time(cycle.at)));
}

// The champion first, then those that were in charge before, then the newest candidates.
export function versions(chosen, onPromote) {
  const rank = (version) => (version.is_champion ? 0 : version.is_promotable ? 1 : 2);
  const found = chosen.versions.toReversed().sort((a, b) => rank(a) - rank(b)).filter((version) => rank(version) < 2);
  const candidates = chosen.versions.toReversed().filter((version) => rank(version) === 2).slice(0, 2);
  const shown = [...found.slice(0, VERSIONS_SHOWN), ...candidates];
  if (!shown.length) return [h("p", { class: "quiet" }, "No version yet.")];
  return [h("div", { class: "scroll" }, h("table", { class: "versions" }, h("tbody", {}, shown.map((version) => h("tr", {},
    h("td", {}, code(version.version), h("span", { class: "quiet small" }, version.cycle === null ? "" : ` cycle ${version.cycle}`)),
    h("td", {}, version.is_champion ? pill(chosen.promotions.at(-1)?.cause === "rollback" ? "in charge again: rolled back" : "in charge", "good")
      : version.is_promotable ? pill("was in charge") : pill(version.decision, version.decision === "rejected" ? "bad" : "")),
    h("td", { class: "number" }, version.is_promotable && !version.is_champion
      ? h("button", { type: "button", onclick: () => onPromote(version.version) }, "Promote") : null))))))];
}

export function evolutions(chosen, onCancel) {
  const runs = chosen.evolutions.toReversed().slice(0, 5);
  const prompt = h("div", { class: "box" }, h("div", { class: "row" },
    h("span", {}, "Prompt in use"), chosen.prompt ? code(chosen.prompt) : h("span", { class: "quiet" }, "none yet")));
  if (!runs.length) return [prompt, h("p", { class: "quiet" }, "No evolution run yet.")];
  return [prompt, ...runs.map((run) => runBox(run, onCancel))];
}

// An interval is there only where a gate took place: then both scores are of the items that it judged by.
function scoresOf(run) {
  if (run.best_score === null) return null;
  if (run.low === null || run.high === null)
    return `search items: best ${decimal(run.best_score)}` + (run.seed_score === null ? "" : `, seed ${decimal(run.seed_score)}`);
  const seed = run.seed_score === null ? "" : `, seed ${decimal(run.seed_score)}`;
  return `judged: finalist ${decimal(run.best_score)}${seed}, gain ${points(run.low)} … ${points(run.high)} points`;
}

function points(share) {
  const rounded = Math.round(100 * share);
  return rounded > 0 ? `+${rounded}` : rounded < 0 ? `−${-rounded}` : "0";
}

function runBox(run, onCancel) {
  const ended = run.state === "ended";
  const facts = [scoresOf(run), `${count(run.calls_count)} calls`].filter(Boolean).join("  ·  ");
  return h("div", { class: "box" },
    h("div", { class: "row" }, h("code", {}, run.run_id),
      pill(ended ? run.outcome.replaceAll("_", " ") : run.state, ended ? OUTCOMES[run.outcome] || "" : "warn")),
    ended ? null : h("progress", { max: run.iterations_max || 1, value: run.iteration, "aria-label": "iterations" }),
    h("div", { class: "row small quiet" },
      h("span", {}, facts),
      h("span", {}, ended ? time(run.changed_at) : `iteration ${run.iteration} of ${run.iterations_max ?? "?"}`)),
    run.reason || run.message ? h("p", { class: "small" }, ended ? run.reason || run.message : run.message) : null,
    ended || run.state === "cancelling" ? null : h("button", { type: "button", onclick: () => onCancel(run.run_id) }, "Cancel"));
}

export function system(snapshot, onReplay) {
  const { broker, partitions, lags, counts: totals } = snapshot.system;
  const folding = partitions.filter((partition) => partition.state === "folding").length;
  const roles = new Map();
  for (const lag of lags) {
    const key = `${lag.role} · ${lag.stream}`;
    const known = roles.get(key) || { entries: 0, age: 0 };
    roles.set(key, { entries: known.entries + lag.entries, age: Math.max(known.age, lag.oldest_age_s) });
  }
  return [h("div", { class: "box" },
    h("p", {}, pill(broker.up ? "broker up" : "broker down", broker.up ? "good" : "bad"), " ",
      pill(`${folding} of ${partitions.length} partitions folded here`, folding === partitions.length ? "good" : "warn"), " ",
      totals.dead_letters ? pill(`${count(totals.dead_letters)} dead letter${totals.dead_letters === 1 ? "" : "s"}`, "bad") : null),
    broker.up ? null : h("p", { class: "small quiet" }, broker.reason),
    totals.dead_letters ? h("p", {}, h("button", { type: "button", onclick: onReplay }, "Look at the dead letters")) : null,
    h("div", { class: "small" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "Reader"), h("th", { class: "number" }, "Entries behind"), h("th", { class: "number" }, "Oldest"))),
      h("tbody", {}, [...roles].map(([role, { entries, age }]) => h("tr", {},
        h("td", {}, role), h("td", { class: "number" }, count(entries)), h("td", { class: "number" }, duration(age)))))))),
  ];
}
