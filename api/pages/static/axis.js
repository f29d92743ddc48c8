// The labels below the charts: time or distance.

import { make } from "./dom.js";
import { UNITS, duration, number } from "./formats.js";
import { ticks, timeTicks } from "./scale.js";

const ROOM = 96; // px for a label

export class Axis {
  constructor() {
    this.element = make("div", { class: "axis", "aria-hidden": "true" });
  }

  // For what `charts` show.
  draw(charts) {
    const most = Math.max(Math.floor(charts.width / ROOM), 2);
    const labels = charts.view.axis === "time" ? timeLabels(charts, most) : distanceLabels(charts, most);
    this.element.replaceChildren(...labels.map(([share, text]) => {
      const label = make("span", {}, text);
      label.style.left = `${share * 100}%`;
      label.classList.toggle("axis-end", share > 0.95);
      label.classList.toggle("axis-begin", share < 0.02);
      return label;
    }));
  }
}

function timeLabels(charts, most) {
  const { start } = charts.whole;
  const [first, last] = [charts.from, charts.to].map((moment) => (moment - start) / 1000);
  return timeTicks(first, last, most).map((at) => [charts.xOf(start + at * 1000), duration(at)]);
}

function distanceLabels(charts, most) {
  const { size, name } = UNITS.distance;
  const [first, last] = [charts.from, charts.to].map((moment) => charts.whole.metresAt(moment) / size);
  return ticks(first, last, most).map((at) => [(at - first) / (last - first), `${number(at, Number.isInteger(at) ? 0 : 1)}\u2009${name}`]);
}
