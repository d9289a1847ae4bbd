// The page: one live stream in, sections drawn when their data changed, operators' requests out.

import { h } from "./draw.js";
import { Live } from "./live.js";
import * as sections from "./sections.js";

const $ = (id) => document.getElementById(id);
const KEY = "operator-key";
const TOAST_MS = 6000;
const TOAST_ERROR_MS = 20000;
const page = { snapshot: null, loop: new URLSearchParams(location.search).get("loop"), showAll: false, drawn: new Map() };

const headers = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

// --- drawing ---------------------------------------------------------------------------------------------------------

// A section is replaced only when its data changed, so that focus, selection and open details survive the others' news.
function draw(id, data, nodes) {
  const key = JSON.stringify(data);
  if (page.drawn.get(id) === key) return;
  const open = new Set([...$(id).querySelectorAll("details[open]")].map((details) => details.dataset.key));
  $(id).replaceChildren(...nodes());
  for (const details of $(id).querySelectorAll("details")) details.open = open.has(details.dataset.key);
  page.drawn.set(id, key);
}

function drawAll() {
  const { snapshot } = page;
  const { chosen } = snapshot;
  drawPicker(snapshot);
  $("empty").hidden = chosen !== null;
  $("main").hidden = chosen === null;
  if (!snapshot.system.broker.up) notice("The broker does not answer; these are the last known numbers.", "warn");
  else if ($("notice").dataset.kind === "warn") notice("");
  if (chosen === null) return;
  document.title = `${chosen.loop} · Meta-learning loop`;
  draw("scores", [chosen.scores, chosen.cycles], () => sections.scores(chosen));
  draw("patterns", chosen.patterns, () => sections.patterns(chosen.patterns));
  draw("counts", snapshot.system.counts, () => sections.counts(snapshot));
  draw("cycles", [chosen.cycles, chosen.counts.open, page.showAll], () => sections.cycles(chosen, snapshot.system.cycle_size, page.showAll, () => { page.showAll = !page.showAll; drawAll(); }));
  draw("versions", chosen.versions, () => sections.versions(chosen, promote));
  draw("evolutions", [chosen.evolutions, chosen.prompt], () => sections.evolutions(chosen, cancel));
  draw("system", snapshot.system, () => sections.system(snapshot, replay));
  $("rollback").disabled = chosen.rollback_to === null;
}

function drawPicker(snapshot) {
  const names = snapshot.loops.map((loop) => loop.loop);
  const more = snapshot.loops_count - names.length;
  const rest = more > 0 ? [h("option", { disabled: true }, `and ${more} more: ?loop=name in the address`)] : [];
  draw("picker", [names, more], () => [...names.map((name) => h("option", { value: name }, name)), ...rest]);
  if (snapshot.chosen && document.activeElement !== $("picker")) $("picker").value = snapshot.chosen.loop;
}

function notice(text, kind = "") {
  $("notice").textContent = text;
  $("notice").dataset.kind = kind;
  $("notice").hidden = !text;
}

// What a click led to, inside the viewport wherever the page is scrolled to.
function toast(text, kind) {
  clearTimeout(page.toasted);
  $("toast").textContent = text;
  $("toast").dataset.kind = kind;
  $("toast").hidden = false;
  page.toasted = setTimeout(() => { $("toast").hidden = true; }, kind === "error" ? TOAST_ERROR_MS : TOAST_MS);
}

// --- asking ----------------------------------------------------------------------------------------------------------

async function ask(method, path, body) {
  const options = { method, headers: headers() };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await reach(`/api${path}`, options, method);
  if (answer.status === 401 && (await askForKey())) return ask(method, path, body);
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.detail || `the monitor answered ${answer.status}`), { status: answer.status });
  return found;
}

async function reach(address, options, method) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error(method === "GET" ? "The monitor does not answer." : "The monitor does not answer: look again before you repeat the change.");
  }
}

async function attempt(action, done) {
  try {
    await action();
    toast(done, "done");
  } catch (error) {
    toast(error.message, "error");
  }
}

function open(id) {
  const dialog = $(id);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true }));
}

async function askForKey() {
  $("key").value = "";
  $("key-wrong").hidden = sessionStorage.getItem(KEY) === null;
  const given = await open("key-dialog");
  if (given) sessionStorage.setItem(KEY, $("key").value);
  return given;
}

function confirm(title, text, word) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-ok").textContent = word;
  return open("confirm-dialog");
}

// "cycle 23 (f2a860f3…)": what an operator knows a version by.
function named(version) {
  const known = page.snapshot.chosen.versions.find((item) => item.version === version);
  const digest = version.length > 8 ? `${version.slice(0, 8)}…` : version;
  return known && known.cycle !== null ? `cycle ${known.cycle} (${digest})` : digest;
}

function change(from, to) {
  return from ? `${named(from)} → ${named(to)}` : named(to);
}

const loopPath = () => `/loops/${encodeURIComponent(page.snapshot.chosen.loop)}`;

async function promote(version) {
  const { loop, champion } = page.snapshot.chosen;
  const taken = change(champion, version);
  if (!(await confirm("Promote this version?", `"${loop}": ${change(champion, version)}, whatever its gates said.`, "Promote"))) return;
  await attempt(() => ask("POST", `${loopPath()}/promote`, { version }), `Promotion asked for: ${taken}. It takes over with the trainer's next commit.`);
}

async function rollBack() {
  const { loop, champion, rollback_to: target } = page.snapshot.chosen;
  const taken = change(champion, target);
  if (!(await confirm("Roll back?", `"${loop}": ${taken}.`, "Roll back"))) return;
  await attempt(() => ask("POST", `${loopPath()}/rollback`), `Roll-back asked for: ${taken}. It takes over with the trainer's next commit.`);
}

async function cancel(runId) {
  await attempt(() => ask("POST", `${loopPath()}/evolutions/${encodeURIComponent(runId)}/cancel`), "Asked. The run stops between two calls and stays resumable.");
}

async function startEvolution() {
  if (!(await open("evolution-dialog"))) return;
  const settings = {
    dataset: $("evolution-dataset").value,
    max_iterations: Number($("evolution-iterations").value),
    num_samples: Number($("evolution-samples").value),
  };
  await attempt(() => ask("POST", `${loopPath()}/evolutions`, { settings }), "Asked. The run appears below when the evolver takes it up.");
}

async function editPrompt() {
  try {
    $("prompt-text").value = (await ask("GET", `${loopPath()}/prompt`)).text;
  } catch (error) {
    if (error.status !== 404) return toast(error.message, "error");
    $("prompt-text").value = "";
  }
  if (!(await open("prompt-dialog"))) return;
  await attempt(() => ask("PUT", `${loopPath()}/prompt`, { text: $("prompt-text").value }), "The prompt is in use.");
}

async function replay() {
  await attempt(async () => {
    const { dead_letters: letters } = await ask("GET", "/dead-letters");
    const reasons = [...new Set(letters.map((letter) => letter.reason))].slice(0, 5).join("\n");
    if (!(await confirm(`Try ${letters.length} dead letters again?`, reasons, "Try again"))) throw new Error("Nothing was tried again.");
    await ask("POST", "/dead-letters/replay", { ids: letters.map((letter) => letter.id) });
  }, "They lie at the end of their streams again.");
}

// --- start -----------------------------------------------------------------------------------------------------------

const live = new Live({
  headers,
  onSnapshot: (snapshot) => { page.snapshot = snapshot; drawAll(); },
  onState: (state, word) => { $("connection").dataset.state = state; $("connection").textContent = word; },
  onRefused: askForKey,
});

$("picker").addEventListener("change", () => {
  page.loop = $("picker").value;
  history.replaceState(null, "", `?loop=${encodeURIComponent(page.loop)}`);
  page.showAll = false;
  $("picker").blur();
  live.look(page.loop);
});
$("rollback").addEventListener("click", rollBack);
$("start-evolution").addEventListener("click", startEvolution);
$("edit-prompt").addEventListener("click", editPrompt);
live.look(page.loop);
