// Fitness as an area, fatigue as a line, form as bars above and below zero, by day.

import { fitted, make, svg } from "./dom.js";
import { number } from "./formats.js";
import { grid } from "./grid.js";
import { makeReadable } from "./reading.js";
import { extent, ticks } from "./scale.js";
import { calendarDate, calendarDayAndMonth, calendarMonth } from "./times.js";
import { dailyTable } from "./values.js";

const SIDES = { left: 44, right: 4, bottom: 22, top: 8 };

class Drawing {
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
    const [low, high] = extent(data.fitness, data.fatigue, data.form, [0, 10]);
    this.low = low - (high - low) * 0.04;
    this.high = high * 1.06;
  }

  x(at) {
    return SIDES.left + ((at + 0.5) * (this.width - SIDES.left - SIDES.right)) / this.data.dates.length;
  }

  placeAt(pixels) {
    return Math.floor(((pixels - SIDES.left) * this.data.dates.length) / (this.width - SIDES.left - SIDES.right));
  }

  y(value) {
    return SIDES.top + ((this.high - value) / (this.high - this.low)) * (this.height - SIDES.top - SIDES.bottom);
  }

  line(values) {
    return values.map((value, at) => `${at ? "L" : "M"}${this.x(at).toFixed(1)},${this.y(value).toFixed(1)}`).join("");
  }

  parts() {
    const { fitness, fatigue, dates } = this.data;
    const base = this.y(0);
    return [
      ...grid(ticks(this.low, this.high, 4), (value) => this.y(value), [SIDES.left, this.width - SIDES.right]),
      svg("path", { class: "area-fitness", d: `${this.line(fitness)}L${this.x(dates.length - 1)},${base}L${this.x(0)},${base}Z` }),
      svg("path", { class: "bars-form", d: this.bars() }),
      svg("path", { class: "line-fatigue", d: this.line(fatigue) }),
      svg("path", { class: "line-fitness", d: this.line(fitness) }),
      ...this.months(),
    ];
  }

  // One path, as hundreds of elements would be slow.
  bars() {
    const half = Math.max(((this.width - SIDES.left - SIDES.right) / this.data.dates.length) * 0.35, 0.4);
    return this.data.form.map((value, at) => `M${(this.x(at) - half).toFixed(1)},${this.y(0).toFixed(1)}V${this.y(value).toFixed(1)}h${(2 * half).toFixed(1)}V${this.y(0).toFixed(1)}Z`).join("");
  }

  // Months; where there are none, the first day and the last.
  months() {
    const firsts = [...this.data.dates.keys()].filter((at) => this.data.dates[at].endsWith("-01"));
    if (firsts.length < 2) return this.ends();
    const every = Math.ceil(firsts.length / Math.max(Math.floor(this.width / 64), 1));
    return firsts.filter((_, at) => at % every === 0).map((at) => svg("text", { x: this.x(at), y: this.height - 4, "text-anchor": "middle" }, calendarMonth(Date.parse(this.data.dates[at]))));
  }

  ends() {
    const { dates } = this.data;
    const text = (at, anchor) => svg("text", { x: this.x(at), y: this.height - 4, "text-anchor": anchor }, calendarDayAndMonth(Date.parse(dates[at])));
    return [text(0, "start"), text(dates.length - 1, "end")];
  }
}

// What a day was.
function tell({ dates, fitness, fatigue, form, stress }, at) {
  const parts = [`Fitness ${number(fitness[at])}`, `fatigue ${number(fatigue[at])}`, `form ${number(form[at])}`, stress[at] ? `TSS ${number(stress[at])}` : null];
  return `${calendarDayAndMonth(Date.parse(dates[at]))}: ${parts.filter(Boolean).join(", ")}`;
}

const key = (name, text) => make("span", { class: `key key-${name}` }, text);

function start(element) {
  const data = JSON.parse(element.dataset.fitness);
  const height = Number(element.dataset.height);
  const last = data.dates.length - 1;
  const sentence = `From ${calendarDate(Date.parse(data.dates[0]))} to ${calendarDate(Date.parse(data.dates[last]))}: fitness from ${number(data.fitness[0])} to ${number(data.fitness[last])}, fatigue ${number(data.fatigue[last])}, form ${number(data.form[last])}`;
  fitted(element, (width) => {
    const drawing = new Drawing(data, width, height);
    const picture = svg("svg", { class: "drawing", viewBox: `0 0 ${width} ${height}` }, ...drawing.parts());
    const shown = make("span", { class: "day-shown number" });
    makeReadable(picture, shown, {
      label: sentence,
      count: data.dates.length,
      placeAt: (pixels) => drawing.placeAt(pixels),
      x: (at) => drawing.x(at),
      tell: (at) => tell(data, at),
      top: SIDES.top,
      bottom: height - SIDES.bottom,
    });
    return [picture, make("p", { class: "legend quiet" }, key("fitness", "Fitness"), key("fatigue", "Fatigue"), key("form", "Form"), shown)];
  });
  element.before(make("p", { class: "visually-hidden" }, `${sentence}.`));
  element.after(dailyTable("Values as a table", "Values of fitness", data, (day) => calendarDate(Date.parse(day))));
}

for (const element of document.querySelectorAll("[data-fitness]")) start(element);
