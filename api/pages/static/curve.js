// The power curve of the ride as a line, over the season's as an area, with records as dots.

import { get, ofWhom } from "./api.js";
import { failed, fitted, make, svg } from "./dom.js";
import { effort, number } from "./formats.js";
import { effortLabels, grid } from "./grid.js";
import { ticks } from "./scale.js";
import { dayWithYear } from "./times.js";

const BOX = { height: 260, left: 48, right: 8, bottom: 24, top: 8 };
const YEAR = 365 * 86_400_000;

export async function drawCurve(element, ride) {
  if (!element) return;
  const { id, sport, start } = ride;
  const since = new Date(Date.parse(start) - YEAR).toISOString();
  const until = new Date(Date.parse(start) + 86_400_000).toISOString();
  try {
    const [own, season, { records }] = await Promise.all([
      get(`/api/workouts/${id}/power-curve`),
      get(`/api/power-curve?sport=${encodeURIComponent(sport)}&from=${since}&to=${until}`),
      get(`/api/records?metric=power&sport=${encodeURIComponent(sport)}`),
    ]);
    fitted(element, (width) => [draw(width, own.powerCurve, season.powerCurve, records), legend()]);
  } catch (error) {
    element.replaceChildren(failed(`The power curve could not be loaded. ${error.message}`, () => drawCurve(element, ride)));
  }
}

// Of a ride that a link opens, whose curve is in the page: [seconds, watts]; nothing of other rides.
export function drawSharedCurve(element) {
  if (!element) return;
  const curve = JSON.parse(element.dataset.curve).map(([duration, power]) => ({ duration, power }));
  fitted(element, (width) => [draw(width, curve, [], [])]);
}

function draw(width, ride, season, records) {
  const longest = Math.max(...[...ride, ...season].map((point) => point.duration), 60);
  const top = Math.max(...[...ride, ...season].map((point) => point.power), ...records.map((each) => each.value), 1) * 1.05;
  const x = (seconds) => BOX.left + (Math.log(seconds) / Math.log(longest)) * (width - BOX.left - BOX.right);
  const y = (power) => BOX.top + (1 - power / top) * (BOX.height - BOX.top - BOX.bottom);
  const line = (points) => points.map((point, at) => `${at ? "L" : "M"}${x(point.duration).toFixed(1)},${y(point.power).toFixed(1)}`).join("");
  const base = y(0);
  const area = season.length ? `${line(season)}L${x(season.at(-1).duration)},${base}L${x(season[0].duration)},${base}Z` : "";
  return svg(
    "svg",
    { class: "drawing", viewBox: `0 0 ${width} ${BOX.height}`, role: "group", "aria-label": "Best mean power over each duration; the table below has the values" },
    svg("path", { class: "area-season", d: area }),
    ...grid(ticks(0, top, 4), y, [BOX.left, width - BOX.right], "\u2009W"),
    ...effortLabels(longest, x, BOX.height - 6),
    svg("path", { class: "line-power", d: line(ride) }),
    ...records.filter((record) => record.duration <= longest).map((record) => dot(record, x(record.duration), y(record.value))),
  );
}

// A record names its ride, and leads there.
function dot(record, cx, cy) {
  const text = `Record over ${effort(record.duration)}: ${number(record.value)} W, ${dayWithYear(new Date(record.startedAt))}`;
  return svg("a", { href: ofWhom(`/rides/${record.workoutId}`), "aria-label": text }, svg("title", {}, text), svg("circle", { class: "record", cx, cy, r: 4 }));
}

const legend = () => make("p", { class: "legend quiet" },
  make("span", { class: "key key-ride" }, "This ride"),
  make("span", { class: "key key-season" }, "The year up to it"),
  make("span", { class: "key key-record" }, "Records"));
