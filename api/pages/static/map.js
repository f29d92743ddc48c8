// The track by itself, or over a map's tiles where the server has any, coloured by power: the more, the darker (in the dark, the
// lighter). Follows the charts' pointer and what they show.

import { make, svg } from "./dom.js";
import { extent } from "./scale.js";
import { EARTH, placeOf, startTiles } from "./tiles.js";

const STEPS = 6; // of colour
const WIDE = 1.5; // times as wide as high

export class TrackMap {
  // `end`: what its last place is called; `fill`: ms without a place that are no gap.
  constructor(element, trace, { end, fill }) {
    this.element = element;
    this.end = end;
    this.fill = fill;
    this.trace = trace;
    [this.points, this.origin] = project(trace);
    this.known = this.points.filter(Boolean);
    if (this.known.length < 2) return;
    element.hidden = false;
    this.#build();
    this.show(null);
  }

  get exists() {
    return this.known.length > 1;
  }

  #build() {
    const [left, right] = extent(this.known.map(([x]) => x));
    const [top, bottom] = extent(this.known.map(([, y]) => y));
    const size = Math.max(right - left, bottom - top, 1);
    const pad = size * 0.05;
    const box = [left - pad, top - pad, right - left + 2 * pad, bottom - top + 2 * pad];
    this.isWide = right - left > WIDE * (bottom - top);
    this.radius = size / 70;
    this.lines = svg("g");
    this.dot = svg("circle", { class: "map-dot", r: this.radius * 1.4, visibility: "hidden" });
    const ends = [this.known[0], this.known.at(-1)].map(([cx, cy], at) => svg("circle", { class: at ? "map-end" : "map-start", cx, cy, r: this.radius }));
    const picture = svg("svg", { viewBox: box.join(" "), role: "img", "aria-label": "The track, coloured by power" }, this.lines, ...ends, this.dot);
    this.element.replaceChildren(picture, startTiles(picture, this.origin) ?? "", legend(this.trace.values("power") !== null, this.end));
  }

  // Draw what is inside a range in colour; the rest, and the straight way across a gap, faint.
  show(range) {
    if (!this.exists) return;
    const [first, last] = range ? [this.trace.placeOf(range.from), this.trace.placeOf(range.to)] : [0, this.trace.count - 1];
    const paths = Array.from({ length: STEPS + 1 }, () => []);
    const powers = this.#levels();
    let before = null;
    this.points.forEach((point, at) => {
      if (!point) return;
      const isRidden = at > first && at <= last && (at - before - 1) * this.trace.step <= this.fill;
      if (before !== null) paths[isRidden ? powers[at] : STEPS].push(`M${this.points[before]}L${point}`);
      before = at;
    });
    this.lines.replaceChildren(...paths.toReversed().map((path, at) => svg("path", { class: at === 0 ? "track-rest" : `track-${STEPS - at}`, d: path.join("") })));
  }

  // For each place 0 to STEPS - 1, by its share of the hardest parts of the ride.
  #levels() {
    const power = this.trace.values("power");
    if (!power) return new Array(this.trace.count).fill(STEPS - 2);
    const sorted = power.filter((value) => value !== null).sort((one, other) => one - other);
    const top = sorted[Math.floor(sorted.length * 0.97)] || 1;
    return power.map((value) => Math.min(Math.floor(((value ?? 0) / top) * STEPS), STEPS - 1));
  }

  hover(moment) {
    if (!this.exists) return;
    const point = moment === null ? null : this.#near(this.trace.placeOf(moment));
    this.dot.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    this.dot.setAttribute("cx", point[0]);
    this.dot.setAttribute("cy", point[1]);
  }

  // The place, or the last known before it.
  #near(at) {
    for (let place = at; place >= 0; place -= 1) if (this.points[place]) return this.points[place];
    return this.known[0];
  }
}

function legend(hasPower, end) {
  const steps = Array.from({ length: STEPS }, (_, at) => svg("line", { class: `track-${at}`, x1: at * 12, x2: at * 12 + 12, y1: 3, y2: 3 }));
  const colours = hasPower ? ["Easy", svg("svg", { viewBox: "0 0 72 6", "aria-hidden": "true" }, ...steps), "hard"] : [];
  const ends = ["Start", end].map((name) => make("span", { class: "end-key" }, name));
  return make("p", { class: "map-legend quiet" }, ...colours, ...ends);
}

// Metres east and south of the first place, as a web map measures them: true to shape.
function project(trace) {
  const [lat, lng] = [trace.values("lat"), trace.values("lng")];
  const first = lat?.findIndex((value, at) => value !== null && lng?.[at] !== null && lng);
  if (!lat || !lng || first < 0) return [[], null];
  const origin = placeOf(lat[first], lng[first]);
  const wrapped = (metres) => ((metres + 1.5 * EARTH) % EARTH) - EARTH / 2;
  const points = lat.map((value, at) => {
    if (value === null || lng[at] === null) return null;
    const [x, y] = placeOf(value, lng[at]);
    return [wrapped(x - origin[0]), y - origin[1]].map((metres) => Math.round(metres * 10) / 10);
  });
  return [points, origin];
}
