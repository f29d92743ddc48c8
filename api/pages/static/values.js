// The charts' values as a table, for who does not see them.

import { make } from "./dom.js";
import { UNITS, duration, shown } from "./formats.js";

const CHANNELS = { power: "Power", heartrate: "Heart rate", cadence: "Cadence", speed: "Speed", altitude: "Altitude" };
const ROWS = 24;

export function valueTable(trace) {
  const table = make("div", { class: "scroller", tabindex: 0, role: "group", "aria-label": "Values of the charts" });
  const details = make("details", { class: "other-way" }, make("summary", {}, "Values as a table"), table);
  details.addEventListener("toggle", () => {
    if (details.open) table.replaceChildren(build(trace));
  });
  return details;
}

function build(trace) {
  const channels = Object.keys(CHANNELS).filter((channel) => trace.values(channel));
  const step = Math.max(Math.ceil(trace.count / ROWS), 1);
  const rows = [];
  for (let first = 0; first < trace.count; first += step) {
    const cells = channels.map((channel) => make("td", { class: "right number" }, shown(channel, mean(trace.values(channel).slice(first, first + step)))));
    rows.push(make("tr", {}, make("th", { scope: "row", class: "number" }, duration((first * trace.step) / 1000)), ...cells));
  }
  const heads = channels.map((channel) => make("th", { scope: "col", class: "right" }, `${CHANNELS[channel]} `, make("span", { class: "unit" }, UNITS[channel].name)));
  return make("table", { class: "table" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "From"), ...heads)), make("tbody", {}, ...rows));
}

function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((total, value) => total + value, 0) / known.length : null;
}
