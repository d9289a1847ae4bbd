// Small pieces of DOM. Texts that come from events are untrusted: everything goes through textContent or setAttribute.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function s(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// A line of values in [0, 1] (null leaves a gap), a dashed rule at `threshold`, a dot on the last value.
export function sparkline(values, threshold, label) {
  const svg = s("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label });
  const x = (index) => (values.length < 2 ? 98 : 2 + (96 * index) / (values.length - 1));
  const y = (value) => 28 - 26 * Math.min(1, Math.max(0, value));
  svg.append(s("line", { class: "base", x1: 0, x2: 100, y1: 28, y2: 28 }));
  if (threshold !== null && threshold !== undefined) {
    svg.append(s("line", { class: "rule", x1: 0, x2: 100, y1: y(threshold), y2: y(threshold) }));
  }
  let path = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) pen = false;
    else {
      path += `${pen ? "L" : "M"}${x(index).toFixed(2)} ${y(value).toFixed(2)}`;
      pen = true;
    }
  });
  if (path) svg.append(s("path", { class: "line", d: path }));
  const last = values.findLastIndex((value) => value !== null);
  if (last >= 0) {
    const point = `M${x(last).toFixed(2)} ${y(values[last]).toFixed(2)}h.001`;
    svg.append(s("path", { class: "dot", d: point }));
  }
  return svg;
}

export const count = (value) => (value ?? 0).toLocaleString("en-US");

export const decimal = (value, digits = 2) =>
  value === null || value === undefined ? "–" : Number(value).toFixed(digits);

export const short = (version) => (version && version.length > 14 ? `${version.slice(0, 12)}…` : version || "–");

export const code = (version) => h("code", { title: version || "" }, short(version));

export function clock(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toISOString().slice(0, 10)} `;
  return day + at.toLocaleTimeString("en-GB");
}

export const time = (iso) => h("time", { datetime: iso, title: iso ? new Date(iso).toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" }) : null }, clock(iso));

export function duration(seconds) {
  if (seconds < 0.05) return "level";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const pill = (word, kind = "") => h("span", { class: `pill ${kind}` }, word);
