// Values of charts as tables, for who does not see them.

import { make } from "./dom.js";
import { UNITS, duration, number, shown } from "./formats.js";

const CHANNELS = { power: "Power", wPrime: "W′ balance", heartrate: "Heart rate", cadence: "Cadence", speed: "Speed", altitude: "Altitude" };
const ROWS = 24;

export function valueTable(trace) {
  const channels = Object.keys(CHANNELS).filter((channel) => trace.values(channel));
  return folded("Values as a table", "Values of the charts", () => build(trace, channels));
}

// Fitness by day, every so many, the last included: `data` has columns.
export function dailyTable(title, name, { dates, fitness, fatigue, form }, written) {
  return folded(title, name, () => {
    const step = Math.max(Math.ceil(dates.length / ROWS), 1);
    const places = [...dates.keys()].filter((at) => (dates.length - 1 - at) % step === 0);
    const cells = (at) => [fitness, fatigue, form].map((column) => make("td", { class: "right number" }, number(column[at])));
    const rows = places.map((at) => make("tr", {}, make("th", { scope: "row" }, written(dates[at])), ...cells(at)));
    const heads = ["Fitness", "Fatigue", "Form"].map((text) => make("th", { scope: "col", class: "right" }, text));
    return make("table", { class: "table" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Day"), ...heads)), make("tbody", {}, ...rows));
  });
}

// A table that is made once somebody opens it.
function folded(title, name, table) {
  const place = make("div", { class: "scroller", tabindex: 0, role: "group", "aria-label": name });
  const details = make("details", { class: "other-way" }, make("summary", {}, title), place);
  details.addEventListener("toggle", () => {
    if (details.open && !place.firstChild) place.append(table());
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
