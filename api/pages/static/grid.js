// What a drawing's values are read by: lines with their numbers, the unit once, and labels of durations.

import { svg } from "./dom.js";
import { effort, number } from "./formats.js";

const EFFORTS = [1, 5, 60, 1200, 300, 3600, 14_400, 30]; // seconds, the more telling first
const LETTER = 7; // px

// `y`: value → px; the lines are from `left` to `right`.
export const grid = (marked, y, [left, right], unit = "") => marked.flatMap((tick, at) => [
  svg("line", { class: tick || unit ? "grid" : "grid zero", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
  svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick) + (at === marked.length - 1 ? unit : "")),
]);

// As far as there is room; `x`: seconds → px.
export function effortLabels(longest, x, y) {
  const found = [];
  const needed = (one, other) => ((effort(one).length + effort(other).length) * LETTER) / 2 + 4;
  const hasRoom = (seconds) => found.every((other) => Math.abs(x(other) - x(seconds)) >= needed(other, seconds));
  for (const seconds of EFFORTS) if (seconds <= longest && hasRoom(seconds)) found.push(seconds);
  return found.map((seconds) => svg("text", { x: x(seconds), y, "text-anchor": seconds === 1 ? "start" : "middle" }, effort(seconds)));
}
