// One channel drawn on a canvas: a line, the band between lowest and highest, quiet axes.

import { colour, figure, make } from "./dom.js";
import { UNITS, number, scaled, shown } from "./formats.js";
import { axisTicks, extent } from "./scale.js";
import { smoothed } from "./trace.js";

const INSET = { top: 8, bottom: 6 };

export class Plot {
  // `look`: { channel, name, ink, filled, base, within, least, note }; `base` is a value that the axis begins with,
  // `within` one that it has, `least` what it spans: less would label it with the same round number twice.
  constructor(look) {
    this.look = look;
    this.value = make("span", { class: "plot-value" });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.scale = make("div", { class: "plot-scale", "aria-hidden": "true" });
    this.note = make("span", { class: "plot-note" });
    this.element = make(
      "figure",
      { class: `plot plot-${look.channel}` },
      make("figcaption", {}, make("span", { class: "plot-name" }, look.name), make("span", { class: "plot-reading" }, this.value, this.note)),
      this.scale,
      this.canvas,
    );
  }

  // Show a value beside the chart: the one under the pointer, or the mean; else the unit alone.
  show(value, note = "") {
    const unit = UNITS[this.look.channel].name;
    this.note.textContent = note;
    this.value.replaceChildren(value === undefined ? make("span", { class: "unit" }, unit) : figure(shown(this.look.channel, value), unit));
  }

  // `view`: the trace, `xOf` moment → share of the width, what is marked, and the smoothing in s; the size in px.
  draw(view, { width, height }) {
    const context = this.#prepare(width, height);
    context.clearRect(0, 0, width, height);
    drawBands(context, view, width, height);
    const data = this.#data(view);
    const range = this.#range(view, data);
    this.scale.replaceChildren();
    if (!range) return;
    const marked = axisTicks(...range);
    const y = (value) => INSET.top + (1 - (value - range[0]) / (range[1] - range[0])) * (height - INSET.top - INSET.bottom);
    const x = (at) => view.xOf(view.trace.times[at] + view.trace.step / 2) * width;
    drawGrid(context, marked, y, width);
    drawLaps(context, view, width, height);
    const runs = this.#runs(view, data.values);
    const ink = colour(this.look.ink ?? this.look.channel);
    if (data.low && data.high) fillBand(context, runs, x, y, data, ink);
    if (this.look.filled) fillBelow(context, runs, x, y, data.values, height, ink);
    stroke(context, runs, x, y, data.values, ink);
    this.#label(marked, y);
  }

  // The axis' numbers, beside the plot: nothing is drawn over them.
  #label(marked, y) {
    this.scale.replaceChildren(...marked.map((tick) => {
      const label = make("span", {}, number(tick));
      label.style.top = `${y(tick)}px`;
      return label;
    }));
  }

  get size() {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  #prepare(width, height) {
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  // In the reader's unit.
  #data(view) {
    const { channel } = this.look;
    const { values, low, high } = view.trace.channels[channel] ?? { values: new Array(view.trace.count).fill(null) };
    const convert = (column) => column?.map((value) => (value === null ? null : scaled(channel, value)));
    const window = channel === "power" ? Math.round((view.smoothing * 1000) / view.trace.step) : 1;
    if (window > 1) return { values: smoothed(convert(values), window) };
    return { values: convert(values), low: convert(low), high: convert(high) };
  }

  // Of what is in view. Spikes of power are left out, and of other channels what is far from any
  // mean: a sensor's slip would squeeze the rest.
  #range(view, data) {
    const [first, last] = view.places;
    const spiked = new Set(this.look.channel === "power" ? view.marks.spikes.map((spike) => view.trace.placeOf(spike.timestamp)) : []);
    const inView = (column) => column?.slice(first, last + 1).filter((_, at) => !spiked.has(first + at)) ?? [];
    const isPower = this.look.channel === "power";
    const drawn = extent(inView((isPower && data.low) || data.values), inView((isPower && data.high) || data.values));
    if (!drawn) return null;
    const { base, within, least } = this.look;
    const found = extent(drawn, [within ?? null]);
    const spread = Math.max(found[1] - (base ?? found[0]), least);
    const low = base ?? (found[0] + found[1] - spread) / 2;
    return [base ?? low - spread * 0.08, low + spread * 1.06];
  }

  // Stretches of places without a gap: what is missing is missing, and no line.
  #runs(view, values) {
    const [first, last] = view.places;
    const runs = [];
    let run = null;
    for (let at = Math.max(first - 1, 0); at <= Math.min(last + 1, values.length - 1); at += 1) {
      if (values[at] === null) continue;
      if (!run || (at - run.at(-1) - 1) * view.trace.step > view.fill) runs.push((run = []));
      run.push(at);
    }
    return runs;
  }
}

function drawBands(context, view, width, height) {
  context.fillStyle = colour("raised");
  for (const { from, to } of view.marks.stops) {
    const left = view.xOf(from) * width;
    context.fillRect(left, 0, Math.max(view.xOf(to) * width - left, 1), height);
  }
}

function fillBand(context, runs, x, y, { low, high }, ink) {
  context.fillStyle = ink;
  context.globalAlpha = 0.22;
  for (const run of runs) {
    context.beginPath();
    run.forEach((at) => context.lineTo(x(at), y(high[at])));
    run.toReversed().forEach((at) => context.lineTo(x(at), y(low[at])));
    context.fill();
  }
  context.globalAlpha = 1;
}

function fillBelow(context, runs, x, y, values, height, ink) {
  context.fillStyle = ink;
  context.globalAlpha = 0.28;
  for (const run of runs) {
    context.beginPath();
    context.moveTo(x(run[0]), height);
    run.forEach((at) => context.lineTo(x(at), y(values[at])));
    context.lineTo(x(run.at(-1)), height);
    context.fill();
  }
  context.globalAlpha = 1;
}

function stroke(context, runs, x, y, values, ink) {
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  for (const run of runs) {
    context.moveTo(x(run[0]), y(values[run[0]]));
    run.forEach((at) => context.lineTo(x(at), y(values[at])));
  }
  context.stroke();
  context.fillStyle = ink;
  for (const [at] of runs.filter(({ length }) => length === 1)) fillDot(context, x(at), y(values[at]));
}

// A reading by itself, which no line would show.
function fillDot(context, x, y) {
  context.beginPath();
  context.arc(x, y, 2, 0, 2 * Math.PI);
  context.fill();
}

function drawGrid(context, marked, y, width) {
  context.fillStyle = colour("line");
  for (const tick of marked) context.fillRect(0, Math.round(y(tick)), width, 1);
}

function drawLaps(context, view, width, height) {
  context.fillStyle = colour("quiet");
  context.globalAlpha = 0.45;
  for (const lap of view.marks.laps) context.fillRect(Math.round(view.xOf(lap) * width), 0, 1, height);
  context.globalAlpha = 1;
}
