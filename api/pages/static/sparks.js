// A small line of power for each ride in a list, loaded one after the other as they come into view.

import { get } from "./api.js";
import { svg } from "./dom.js";

const BOX = { width: 60, height: 18 };
const waiting = [];
let isBusy = false;

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    waiting.push(target);
  }
  next();
});

async function next() {
  if (isBusy || !waiting.length) return;
  isBusy = true;
  const element = waiting.shift();
  try {
    const { channels } = await get(`/api/workouts/${element.dataset.spark}/chart?channels=power&points=${BOX.width}`);
    element.replaceChildren(draw(channels.power?.values ?? []));
  } catch {
    // A ride without its line is still a ride: the figures stand beside it.
  }
  isBusy = false;
  next();
}

function draw(values) {
  const top = Math.max(...values, 1);
  const x = (at) => ((at * BOX.width) / Math.max(values.length - 1, 1)).toFixed(1);
  const y = (value) => (BOX.height - ((value ?? 0) / top) * (BOX.height - 2) - 1).toFixed(1);
  const line = values.map((value, at) => `${at ? "L" : "M"}${x(at)},${y(value)}`).join("");
  return svg(
    "svg",
    { width: BOX.width, height: BOX.height, viewBox: `0 0 ${BOX.width} ${BOX.height}`, "aria-hidden": "true" },
    svg("path", { class: "spark-area", d: `${line}L${BOX.width},${BOX.height}L0,${BOX.height}Z` }),
    svg("path", { class: "spark-line", d: line }),
  );
}

for (const element of document.querySelectorAll("[data-spark]")) seen.observe(element);
