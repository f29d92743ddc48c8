// What a ride looks like here, by a formula: power in intervals, the heart that follows, the hills.

import "./page.js";
import { fitted, svg } from "./dom.js";
import { UNITS, duration, number, scaled } from "./formats.js";
import { makeReadable } from "./reading.js";

const SECONDS = 3600;
const STEP = 8;
const BANDS = [
  { name: "power", low: 0, high: 420, top: 8, height: 150 },
  { name: "heartrate", low: 70, high: 180, top: 172, height: 84 },
  { name: "altitude", low: 30, high: 400, top: 268, height: 84 },
];
const HEIGHT = 352;

const wave = (at, period, phase = 0) => Math.sin((2 * Math.PI * at) / period + phase);
const hill = (at) => 210 + 110 * wave(at, 2600, -1.2) + 34 * wave(at, 900, 1);
const isHard = (at) => at > 500 && at < 3200 && at % 600 < 320;
// Between 0 and 1, the same each time for a number.
const noise = (at) => Math.abs((Math.sin(at * 12.9898) * 43758.5453) % 1);

// Columns of one value a step.
function ride() {
  const places = Array.from({ length: SECONDS / STEP }, (_, at) => at * STEP);
  const power = places.map((at) => (isHard(at) ? 285 : 150 + 30 * wave(at, 700)) + 44 * (noise(at) - 0.5));
  const heartrate = [];
  power.reduce((before, watts) => {
    const now = before + (84 + watts * 0.28 - before) * (1 - Math.exp(-STEP / 45));
    heartrate.push(now);
    return now;
  }, 92);
  return { power, heartrate, altitude: places.map(hill) };
}

function parts(columns, width) {
  const count = columns.power.length;
  const x = (at) => (at * width) / (count - 1);
  return BANDS.flatMap(({ name, low, high, top, height }) => {
    const y = (value) => top + (1 - (value - low) / (high - low)) * height;
    const line = columns[name].map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)},${y(value).toFixed(1)}`).join("");
    const below = `${line}L${width},${top + height}L0,${top + height}Z`;
    return [
      svg("path", { class: `sample-area fill-${name}`, d: below }),
      svg("path", { class: `sample-trace trace-${name}`, d: line, pathLength: 1 }),
    ];
  });
}

function tell(columns, at) {
  const said = BANDS.map(({ name }) => `${number(scaled(name, columns[name][at]))}\u2009${UNITS[name].name}`);
  return [duration(at * STEP), ...said].join(", ");
}

const shown = document.getElementById("sample-shown");
const columns = ride();
fitted(document.getElementById("sample"), (width) => {
  const picture = svg("svg", { class: "drawing", viewBox: `0 0 ${width} ${HEIGHT}` }, ...parts(columns, width));
  const count = columns.power.length;
  makeReadable(picture, shown, {
    label: "An hour of power, heart rate and altitude, by a formula",
    count,
    placeAt: (pixels) => Math.round((pixels / width) * (count - 1)),
    x: (at) => (at * width) / (count - 1),
    tell: (at) => tell(columns, at),
    top: 0,
    bottom: HEIGHT,
  });
  return [picture];
});
