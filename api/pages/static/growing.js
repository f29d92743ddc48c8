// A trace to which samples are added as they come. Where there would be too many stretches, they
// join in pairs.

import { Trace, metresOf } from "./trace.js";

const FIRST_OF = ["lat", "lng", "distance"]; // of these a stretch has the first reading
const DAY = 86_400_000; // what is further away is a stray

export class GrowingTrace extends Trace {
  // `most`: stretches.
  constructor(chart, most) {
    super(chart);
    this.most = most;
    this.newest = this.end;
    this.readings = {}; // channel → how many each stretch has
    for (const [name, channel] of Object.entries(this.channels)) {
      channel.low ??= [...channel.values];
      channel.high ??= [...channel.values];
      this.readings[name] = channel.values.map((value) => (value === null ? 0 : this.step / 1000));
    }
  }

  // `columns`: as the stream has them. A sample that comes again with the same values changes nothing
  // once all of its stretch has. Returns whether any stretch had nothing before, or any sample is the newest.
  add({ timestamp, ...columns }) {
    if (!timestamp.length) return false;
    const before = this.newest;
    this.isFilled = false;
    if (!this.count) this.start = timestamp[0] - (timestamp[0] % 1000);
    for (const name of Object.keys(columns)) if (!this.channels[name]) this.#begin(name);
    const near = timestamp.filter((moment) => this.#isNear(moment));
    if (near.length) this.#reach(near.reduce((one, other) => Math.min(one, other)), near.reduce((one, other) => Math.max(one, other)));
    timestamp.forEach((moment, row) => {
      if (!this.#isNear(moment)) return;
      const at = Math.floor((moment - this.start) / this.step);
      for (const [name, column] of Object.entries(columns)) if (column[row] !== null) this.#put(name, at, column[row]);
    });
    this.#derive();
    this.newest = near.reduce((one, other) => Math.max(one, other), before);
    return this.isFilled || this.newest > before;
  }

  #isNear(moment) {
    return moment > this.start - DAY && moment < this.start + this.count * this.step + DAY;
  }

  #begin(name) {
    const empty = () => new Array(this.count).fill(null);
    this.channels[name] = { values: empty(), low: empty(), high: empty() };
    this.readings[name] = new Array(this.count).fill(0);
  }

  #reach(first, last) {
    const before = Math.max(Math.ceil((this.start - first) / this.step), 0);
    const count = Math.max(before + this.count, Math.floor((last - this.start) / this.step) + 1 + before);
    const longer = (column, filler) => [...new Array(before).fill(filler), ...column, ...new Array(count - before - this.count).fill(filler)];
    if (count !== this.count) this.#each((column, filler) => longer(column, filler));
    this.start -= before * this.step;
    this.count = count;
    while (this.count > this.most) this.#join();
  }

  #each(change) {
    for (const [name, channel] of Object.entries(this.channels)) {
      for (const part of ["values", "low", "high"]) channel[part] = change(channel[part], null);
      this.readings[name] = change(this.readings[name], 0);
    }
  }

  #put(name, at, value) {
    const { values, low, high } = this.channels[name];
    const known = this.readings[name][at];
    this.isFilled ||= !known;
    if (!known) values[at] = low[at] = high[at] = value;
    else if (!FIRST_OF.includes(name)) {
      values[at] = (values[at] * known + value) / (known + 1);
      low[at] = Math.min(low[at], value);
      high[at] = Math.max(high[at], value);
    }
    this.readings[name][at] = known + 1;
  }

  #join() {
    const pairs = Math.ceil(this.count / 2);
    const paired = (combine) => Array.from({ length: pairs }, (_, at) => combine(2 * at, 2 * at + 1));
    for (const [name, channel] of Object.entries(this.channels)) {
      const known = this.readings[name];
      const least = (column, choose) => paired((one, other) => (known[one] && known[other] ? choose(column[one], column[other]) : known[one] ? column[one] : column[other] ?? null));
      const mean = (one, other) => (channel.values[one] * known[one] + channel.values[other] * known[other]) / (known[one] + known[other]);
      const values = paired((one, other) => {
        if (known[one] && known[other]) return FIRST_OF.includes(name) ? channel.values[one] : mean(one, other);
        return known[one] ? channel.values[one] : channel.values[other] ?? null;
      });
      this.channels[name] = { values, low: least(channel.low, Math.min), high: least(channel.high, Math.max) };
      this.readings[name] = paired((one, other) => known[one] + (known[other] ?? 0));
    }
    this.count = pairs;
    this.step *= 2;
  }

  #derive() {
    this.times = Array.from({ length: this.count }, (_, at) => this.start + at * this.step);
    this.end = this.start + this.count * this.step;
    this.metres = metresOf(this);
  }
}
