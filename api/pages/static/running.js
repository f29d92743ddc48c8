// The figures of a ride that goes on: the last value of each channel, and those of the ride so far.

import { figure, make } from "./dom.js";
import { UNITS, duration, effort, number, shown } from "./formats.js";

const CHANNELS = { power: "Power", heartrate: "Heart rate", cadence: "Cadence", speed: "Speed", altitude: "Altitude" };
const STALE = 30_000; // ms behind the newest sample, after which a channel has fallen silent
const BESTS = [5, 60, 300, 1200, 3600];

const whole = (unit = "") => (value) => [number(value), unit];
const WRITE = {
  movingTime: (value) => [duration(value), ""],
  totalDistance: (value) => [number(value / UNITS.distance.size, 1), UNITS.distance.name],
  totalElevationGain: (value) => [shown("altitude", value), UNITS.altitude.name],
  totalEnergy: whole("kJ"),
  normalizedPower: whole("W"),
  intensityFactor: (value) => [number(value, 2), ""],
  trainingStressScore: whole(),
  avgHeartrate: whole("bpm"),
};

// The newest reading of each channel, and when it was.
export class Latest {
  constructor() {
    this.readings = new Map();
    this.moment = -Infinity;
  }

  // Of samples as the stream has them, or of a trace.
  note(timestamp, columns) {
    for (const [name, values] of Object.entries(columns)) {
      const at = values.findLastIndex((value) => value !== null);
      if (at < 0 || timestamp[at] < (this.readings.get(name)?.moment ?? -Infinity)) continue;
      this.readings.set(name, { moment: timestamp[at], value: values[at] });
    }
    this.moment = Math.max(this.moment, timestamp.at(-1) ?? -Infinity);
  }

  // Name, channel and value of what is measured now.
  *known() {
    for (const [channel, name] of Object.entries(CHANNELS)) {
      const reading = this.readings.get(channel);
      if (reading && this.moment - reading.moment < STALE) yield [name, channel, reading.value];
    }
  }
}

const item = (name, value, kind = "") => make("div", { class: kind }, make("dt", {}, name), make("dd", {}, value));

// `balance`: kJ of W′ that are left, or null.
export function writeLatest(element, latest, balance) {
  const values = [...latest.known()].map(([name, channel, value]) => item(name, figure(shown(channel, value), UNITS[channel].name), `now-${channel}`));
  if (balance !== null) values.push(item("W′ left", figure(number(balance, 1), "kJ")));
  element.replaceChildren(...values);
}

export function writeSummary(summary) {
  for (const element of document.querySelectorAll("[data-member]")) {
    const value = summary[element.dataset.member] ?? null;
    const [text, unit] = value === null ? ["–", ""] : WRITE[element.dataset.member](value);
    element.querySelector(".figure-value").replaceChildren(text, unit && make("span", { class: "unit" }, unit));
  }
}

export function writeBests(element, bests) {
  const found = bests.filter(({ metric, duration: seconds }) => metric === "power" && BESTS.includes(seconds));
  element.hidden = !found.length;
  element.querySelector("dl").replaceChildren(...found.map((best) => item(effort(best.duration), figure(number(best.value), "W"))));
}

// For who does not see it.
export function sentence(latest, summary) {
  const now = [...latest.known()].map(([name, channel, value]) => `${name} ${shown(channel, value)} ${UNITS[channel].name}`);
  const distance = summary?.totalDistance ? [`${shown("distance", summary.totalDistance)} ${UNITS.distance.name}`] : [];
  const ridden = summary ? [`after ${duration(summary.movingTime ?? summary.duration)}`, ...distance] : [];
  return [...now, ...ridden].join(", ");
}
