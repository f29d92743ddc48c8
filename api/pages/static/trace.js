// A ride as charts see it: equal stretches of time, each with its channels and its distance.

import { search } from "./scale.js";

export class Trace {
  // `chart`: the API's answer.
  constructor(chart) {
    this.start = chart.start;
    this.step = chart.step;
    this.count = chart.count;
    this.channels = chart.channels;
    this.times = Array.from({ length: chart.count }, (_, at) => chart.start + at * chart.step);
    this.end = chart.start + chart.count * chart.step;
    this.metres = metresOf(chart);
  }

  values(channel) {
    return this.channels[channel]?.values ?? null;
  }

  // W′ balance as a channel: what was left at each stretch, by `balance` of { start, step, values } in kJ.
  addBalance({ start, step, values }) {
    const left = this.times.map((time) => values[Math.floor((time - start) / step)] ?? null);
    this.channels.wPrime = { values: left };
  }

  // Of a channel, over all stretches that have it; null if none has.
  mean(channel) {
    const known = this.values(channel)?.filter((value) => value !== null) ?? [];
    return known.length ? known.reduce((total, value) => total + value, 0) / known.length : null;
  }

  // The stretch that a moment (ms) lies in.
  placeOf(moment) {
    return Math.min(Math.max(Math.floor((moment - this.start) / this.step), 0), this.count - 1);
  }

  // Metres ridden up to a moment, between two known ones by a straight line.
  metresAt(moment) {
    const at = (moment - this.start) / this.step;
    const before = Math.min(Math.max(Math.floor(at), 0), this.count - 1);
    const after = Math.min(before + 1, this.count - 1);
    const share = Math.min(Math.max(at - before, 0), 1);
    return this.metres[before] + share * (this.metres[after] - this.metres[before]);
  }

  momentAt(metres) {
    const at = search(this.metres, metres);
    const next = Math.min(at + 1, this.count - 1);
    const gap = this.metres[next] - this.metres[at];
    return this.start + this.step * (at + (gap > 0 ? (metres - this.metres[at]) / gap : 0));
  }
}

// Metres up to each stretch, never falling: by the odometer, the positions, or the speed.
export function metresOf(chart) {
  const steps = odometer(chart) ?? along(chart) ?? bySpeed(chart);
  if (!steps) return null;
  let total = 0;
  return steps.map((step) => (total += step));
}

function odometer(chart) {
  const values = chart.channels.distance?.values;
  if (!values) return null;
  let last = values.find((value) => value !== null);
  return values.map((value) => {
    const step = value === null ? 0 : Math.max(value - last, 0);
    if (value !== null) last = value;
    return step;
  });
}

function along(chart) {
  const { lat, lng } = chart.channels;
  if (!lat || !lng) return null;
  let last = null;
  return lat.values.map((_, at) => {
    const here = lat.values[at] === null || lng.values[at] === null ? null : [lat.values[at], lng.values[at]];
    const step = here && last ? apart(last, here) : 0;
    last = here ?? last;
    return step;
  });
}

function bySpeed(chart) {
  const values = chart.channels.speed?.values;
  return values ? values.map((value) => ((value ?? 0) * chart.step) / 1000) : null;
}

// Metres between two near places.
function apart([lat, lng], [otherLat, otherLng]) {
  const radians = Math.PI / 180;
  const x = (otherLng - lng) * radians * Math.cos(((lat + otherLat) / 2) * radians);
  return 6371008.8 * Math.hypot(x, (otherLat - lat) * radians);
}

// A chart with the speed by its way, where the device recorded none: over a quarter of a minute, as positions jump
// about. Between places that are more than `fill` ms apart nothing is known.
export function withSpeed(chart, fill) {
  const way = chart.channels.distance ?? chart.channels.lat;
  const metres = chart.channels.speed || !way ? null : metresOf(chart);
  if (!metres) return chart;
  let last = null;
  const values = metres.map((metre, at) => {
    if (way.values[at] === null) return null;
    const before = last;
    last = at;
    if (before === null || (at - before) * chart.step > fill) return null;
    return ((metre - metres[before]) * 1000) / ((at - before) * chart.step);
  });
  return { ...chart, channels: { ...chart.channels, speed: { values: smoothed(values, Math.round(15_000 / chart.step)) } } };
}

// The values averaged over a window of stretches, missing ones left out.
export function smoothed(values, window) {
  if (window < 2) return values;
  const before = Math.floor((window - 1) / 2);
  const found = [];
  let total = 0;
  let known = 0;
  const add = (at, sign) => {
    if (at < 0 || at >= values.length || values[at] === null) return;
    total += sign * values[at];
    known += sign;
  };
  for (let at = 0; at < window - before - 1; at += 1) add(at, 1);
  for (let at = 0; at < values.length; at += 1) {
    add(at + window - before - 1, 1);
    add(at - before - 1, -1);
    found.push(values[at] === null || !known ? null : total / known);
  }
  return found;
}
