// W′ balance over the ride.

import { fitted, svg } from "./dom.js";
import { UNITS, duration, number } from "./formats.js";
import { extent, ticks, timeTicks } from "./scale.js";

const BOX = { height: 180, left: 40, right: 8, bottom: 24, top: 8 };

// `balance`: { start, step, values } in kJ.
export function drawBalance(section, { step, values }) {
  const found = extent(values);
  if (!found) return;
  section.hidden = false;
  fitted(section.querySelector(".balance-chart"), (width) => [draw(width, found, step, values)]);
}

function draw(width, found, step, values) {
  const [low, high] = [Math.min(found[0], 0), found[1]];
  const seconds = (values.length * step) / 1000;
  const x = (at) => BOX.left + (at / seconds) * (width - BOX.left - BOX.right);
  const y = (value) => BOX.top + (1 - (value - low) / (high - low || 1)) * (BOX.height - BOX.top - BOX.bottom);
  let isDown = false;
  const path = values.map((value, at) => {
    const move = isDown ? "L" : "M";
    isDown = value !== null;
    return value === null ? "" : `${move}${x((at * step) / 1000).toFixed(1)},${y(value).toFixed(1)}`;
  }).join("");
  const grid = ticks(low, high, 4).flatMap((tick) => [
    svg("line", { class: "grid", x1: BOX.left, x2: width - BOX.right, y1: y(tick), y2: y(tick) }),
    svg("text", { x: BOX.left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick)),
  ]);
  const times = timeTicks(0, seconds, 5).map((at) => svg("text", { x: x(at), y: BOX.height - 6, "text-anchor": anchor(at / seconds) }, duration(at)));
  const label = `W′ balance, from ${number(found[1], 1)} down to ${number(found[0], 1)} ${UNITS.balance.name}`;
  return svg("svg", { class: "drawing", viewBox: `0 0 ${width} ${BOX.height}`, role: "img", "aria-label": label }, ...grid, ...times, svg("path", { class: "line-power", d: path }));
}

// So that labels at either end stay inside.
const anchor = (share) => (share < 0.02 ? "start" : share > 0.97 ? "end" : "middle");
