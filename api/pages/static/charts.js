// The column of charts over one axis: pointer, keyboard, selection. Says by events what is shown:
// "hover" with a moment or null, "select" with { from, to } or null for the whole ride.

import { Axis } from "./axis.js";
import { make } from "./dom.js";
import { UNITS, duration, shown } from "./formats.js";
import { MarkRow, explain } from "./marks.js";
import { Plot } from "./plot.js";
import { followPointer } from "./pointing.js";

const LOOKS = [
  { channel: "power", name: "Power", base: 0, least: 10 },
  { channel: "wPrime", name: "W′ balance", ink: "power", within: 0, least: 5, note: "lowest" },
  { channel: "heartrate", name: "Heart rate", least: 20 },
  { channel: "cadence", name: "Cadence", base: 0, least: 10 },
  { channel: "speed", name: "Speed", base: 0, least: 10 },
  { channel: "altitude", name: "Altitude", filled: true, least: 40 },
];

// Whether there is anything to draw of a trace.
export const isDrawable = (trace) => LOOKS.some(({ channel }) => trace.channels[channel]);

export class Charts extends EventTarget {
  // `whole`: the trace of the whole ride; `marks`: { stops, spikes, strays, laps }; `fill`: ms that are no gap.
  constructor(element, whole, { marks, fill, means }) {
    super();
    this.element = element;
    this.whole = whole;
    this.means = means;
    this.shownMeans = means;
    this.balance = null;
    this.resized = new ResizeObserver(() => this.area.clientWidth !== this.width && this.draw());
    this.view = { trace: whole, marks, fill, axis: "time", smoothing: 1 };
    this.hovered = null;
    this.#build();
    this.zoom(null);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  #build() {
    this.plots = LOOKS.filter(({ channel }) => this.whole.channels[channel]).map((look) => new Plot(look));
    this.line = make("div", { class: "hover-line", hidden: true });
    this.said = make("p", { class: "hover-note", hidden: true });
    this.axis = new Axis();
    this.row = new MarkRow(this.view.marks, (range) => this.select(range));
    this.area = make("div", { class: "overlay", tabindex: 0, role: "slider", "aria-label": "Place in the ride: arrows move, Enter zooms, Escape goes back" }, this.line, this.said);
    this.element.replaceChildren(this.row.element, ...this.plots.map((plot) => plot.element), this.axis.element, this.area);
    followPointer(this.area, this);
    this.area.addEventListener("keydown", (event) => this.#key(event));
    this.area.addEventListener("blur", () => this.hover(null));
    this.resized.disconnect();
    this.resized.observe(this.area);
  }

  get range() {
    return { from: this.from, to: this.to };
  }

  set axisKind(kind) {
    this.view.axis = kind;
    this.draw();
  }

  set smoothing(seconds) {
    this.view.smoothing = seconds;
    this.draw();
  }

  // Show a part of the ride, or all of it.
  zoom(range) {
    this.from = range?.from ?? this.whole.start;
    this.to = range?.to ?? this.whole.end;
    this.isWhole = !range;
    if (this.isWhole) this.view.trace = this.whole;
    this.area.setAttribute("aria-valuemin", 0);
    this.area.setAttribute("aria-valuemax", Math.round((this.to - this.from) / 1000));
    this.draw();
  }

  // A finer trace of what is shown.
  refine(trace) {
    this.view.trace = trace;
    this.draw();
  }

  // Show the last ms of a trace that grows.
  follow(trace, span) {
    this.isWhole = false;
    this.view.trace = trace;
    this.to = trace.end;
    this.from = trace.end - span;
    this.draw();
  }

  // The whole trace has grown: what is shown moves along, unless it is a part of the ride.
  grow() {
    const found = LOOKS.filter(({ channel }) => this.whole.channels[channel]);
    if (found.length !== this.plots.length) this.#build();
    if (this.isWhole) this.zoom(null);
    else this.draw();
  }

  // W′ balance of what is shown: { start, step, values }.
  showBalance(balance) {
    this.balance = balance;
    this.draw();
  }

  showMeans(means) {
    this.shownMeans = means ?? this.means;
    this.hover(this.hovered);
  }

  select(range) {
    const inside = range && { from: Math.max(range.from, this.whole.start), to: Math.min(range.to, this.whole.end) };
    this.zoom(inside);
    this.dispatchEvent(new CustomEvent("select", { detail: inside }));
  }

  // Moment ↔ share of the width.
  xOf(moment) {
    if (this.view.axis === "time") return (moment - this.from) / (this.to - this.from);
    const [first, last] = [this.whole.metresAt(this.from), this.whole.metresAt(this.to)];
    return (this.whole.metresAt(moment) - first) / Math.max(last - first, 1);
  }

  momentAt(share) {
    if (this.view.axis === "time") return this.from + share * (this.to - this.from);
    const [first, last] = [this.whole.metresAt(this.from), this.whole.metresAt(this.to)];
    return this.whole.momentAt(first + share * (last - first));
  }

  draw() {
    const { trace } = this.view;
    if (this.balance) trace.addBalance(this.balance);
    const view = { ...this.view, xOf: (moment) => this.xOf(moment), places: [trace.placeOf(this.from), trace.placeOf(this.to - 1)] };
    // All sizes before anything is drawn, as the page would be laid out anew for each that is asked in between.
    const sizes = this.plots.map((plot) => plot.size);
    this.width = this.area.clientWidth;
    this.plots.forEach((plot, at) => plot.draw(view, sizes[at]));
    this.axis.draw(this);
    this.row.place(this);
    this.hover(this.hovered);
  }

  // Show what was at a moment; null shows the means.
  hover(moment) {
    this.hovered = moment;
    const share = moment === null ? -1 : this.xOf(moment);
    this.line.hidden = share < 0 || share > 1;
    this.line.style.left = `${share * 100}%`;
    this.#explain(moment, share);
    const at = moment === null ? null : this.view.trace.placeOf(moment);
    for (const plot of this.plots) {
      const { channel } = plot.look;
      const value = at === null ? this.shownMeans[channel] : this.view.trace.values(channel)?.[at];
      plot.show(value, at === null && value !== undefined ? plot.look.note ?? "mean" : "");
    }
    this.#tell(moment, at);
    this.dispatchEvent(new CustomEvent("hover", { detail: moment }));
  }

  // Why there is no line, or an odd one, where the pointer is.
  #explain(moment, share) {
    const text = moment === null ? "" : explain(this.view.marks, moment, this.view.trace.step);
    this.said.hidden = !text || this.line.hidden;
    this.said.textContent = text;
    this.said.style.left = `${share * 100}%`;
    this.said.classList.toggle("hover-note-left", share > 0.5);
  }

  #tell(moment, at) {
    const seconds = moment === null ? 0 : (moment - this.from) / 1000;
    this.area.setAttribute("aria-valuenow", Math.round(seconds));
    const said = at === null ? "Nothing chosen" : [
      duration((moment - this.whole.start) / 1000),
      ...this.plots.map(({ look }) => `${look.name} ${shown(look.channel, this.view.trace.values(look.channel)?.[at])} ${UNITS[look.channel].name}`),
      this.said.textContent,
    ].filter(Boolean).join(", ");
    this.area.setAttribute("aria-valuetext", said);
  }

  // The part between two moments, to the second.
  selectBetween(from, to) {
    const whole = (moment) => Math.round(moment / 1000) * 1000;
    if (to - from >= 2000) this.select({ from: whole(from), to: whole(to) });
  }

  #key(event) {
    const step = (event.shiftKey ? 10 : 1) * Math.max((this.to - this.from) / 200, this.view.trace.step);
    const now = this.hovered ?? this.from;
    const moves = { ArrowLeft: now - step, ArrowRight: now + step, Home: this.from, End: this.to - 1 };
    if (event.key in moves) this.hover(Math.min(Math.max(moves[event.key], this.from), this.to - 1));
    else if (event.key === "Enter") this.selectBetween(...this.#around(now));
    else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
  }

  // A quarter of what is shown, around a moment.
  #around(moment) {
    const half = (this.to - this.from) / 8;
    return [Math.max(moment - half, this.from), Math.min(moment + half, this.to)];
  }
}
