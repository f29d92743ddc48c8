// The power curve of the chosen dates as a line, over that of others as an area; the pointer reads both.

import "./page.js";
import "./fitness.js";
import { fitted, make, svg } from "./dom.js";
import { effort, number } from "./formats.js";
import { effortLabels, grid } from "./grid.js";
import { makeReadable } from "./reading.js";
import { search, ticks } from "./scale.js";

const BOX = { height: 320, left: 48, right: 8, bottom: 24, top: 8 };

class Curves {
  // Each: [seconds, watts], the shortest first.
  constructor({ chosen, other }, width) {
    Object.assign(this, { chosen, other, width });
    const all = [...chosen, ...other];
    this.longest = Math.max(...all.map(([seconds]) => seconds), 60);
    this.top = Math.max(...all.map(([, watts]) => watts), 1) * 1.05;
  }

  x(seconds) {
    return BOX.left + (Math.log(seconds) / Math.log(this.longest)) * (this.width - BOX.left - BOX.right);
  }

  y(watts) {
    return BOX.top + (1 - watts / this.top) * (BOX.height - BOX.top - BOX.bottom);
  }

  secondsAt(pixels) {
    return Math.exp(((pixels - BOX.left) / (this.width - BOX.left - BOX.right)) * Math.log(this.longest));
  }

  line(points) {
    return points.map(([seconds, watts], at) => `${at ? "L" : "M"}${this.x(seconds).toFixed(1)},${this.y(watts).toFixed(1)}`).join("");
  }

  area(points) {
    if (!points.length) return "";
    return `${this.line(points)}L${this.x(points.at(-1)[0]).toFixed(1)},${this.y(0)}L${this.x(points[0][0]).toFixed(1)},${this.y(0)}Z`;
  }

  draw() {
    return svg(
      "svg",
      { class: "drawing", viewBox: `0 0 ${this.width} ${BOX.height}` },
      svg("path", { class: "area-season", d: this.area(this.other) }),
      svg("path", { class: "line-other", d: this.line(this.other) }),
      ...grid(ticks(0, this.top, 5), (watts) => this.y(watts), [BOX.left, this.width - BOX.right], "\u2009W"),
      ...effortLabels(this.longest * 0.92, (seconds) => this.x(seconds), BOX.height - 6),
      svg("path", { class: "line-power", d: this.line(this.chosen) }),
    );
  }
}

// Both curves at a duration.
function tell({ chosen, other }, [seconds]) {
  const watts = (points) => number(points.find((point) => point[0] === seconds)?.[1]);
  return `${effort(seconds)}: ${watts(chosen)} W${other.length ? `, against ${watts(other)} W` : ""}`;
}

function start(element) {
  const data = JSON.parse(element.dataset.curves);
  const names = JSON.parse(element.dataset.names);
  fitted(element, (width) => {
    const curves = new Curves(data, width);
    const picture = curves.draw();
    const shown = make("span", { class: "day-shown number" });
    const points = data.chosen.length ? data.chosen : data.other;
    const durations = points.map(([seconds]) => seconds);
    makeReadable(picture, shown, {
      label: "Best mean power over each duration",
      count: points.length,
      placeAt: (pixels) => search(durations, curves.secondsAt(pixels)),
      x: (at) => curves.x(durations[at]),
      tell: (at) => tell(data, points[at]),
      top: BOX.top,
      bottom: BOX.height - BOX.bottom,
    });
    const key = (name, text) => make("span", { class: `key key-${name}` }, text);
    return [picture, make("p", { class: "legend quiet" }, key("ride", names[0]), data.other.length ? key("season", names[1]) : "", shown)];
  });
}

for (const element of document.querySelectorAll("[data-curves]")) start(element);
