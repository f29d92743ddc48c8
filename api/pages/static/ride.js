// The ride page: charts and map in step, the figures of what is selected, and the controls.

import { get } from "./api.js";
import { Charts } from "./charts.js";
import { startControls } from "./controls.js";
import { drawCurve } from "./curve.js";
import { failed, make } from "./dom.js";
import { TrackMap } from "./map.js";
import { RangePanel } from "./range.js";
import { exactTimes } from "./times.js";
import { Trace } from "./trace.js";
import { valueTable } from "./values.js";

const ride = document.getElementById("ride");
const marks = JSON.parse(ride.dataset.marks);
const means = JSON.parse(ride.dataset.figures);
const place = document.getElementById("charts");
const points = () => Math.min(Math.max(Math.round(place.clientWidth), 300), 2000);
const chartAt = async (query, options) => new Trace(await get(`/api/workouts/${ride.dataset.id}/chart?points=${points()}${query}`, options));

// ms without a reading that are no gap: as for the figures.
const fill = Math.min(Math.max(3 * (marks.interval ?? 1), 10), 90) * 1000;
const ofKind = (kind, found) => found.map((each) => ({ kind, ...each }));
const pauses = ofKind("pause", marks.pauses.map(({ start, end }) => ({ from: start, to: end })));
const isPaused = (gap) => pauses.some((pause) => pause.from < gap.to && pause.to > gap.from);
const stops = [...pauses, ...ofKind("gap", marks.gaps.filter((gap) => !isPaused(gap)))];

function show(trace) {
  if (!trace.count || !Object.keys(trace.channels).length) {
    place.replaceChildren(make("p", { class: "empty-line" }, "No samples to draw yet. They appear when the device has sent some: ", make("a", { href: "" }, "look again"), "."));
    return;
  }
  const charts = new Charts(place, trace, {
    marks: { stops, spikes: marks.spikes, strays: ofKind("stray", marks.strays), laps: marks.laps },
    fill,
    means: { power: means.avgPower, heartrate: means.avgHeartrate, cadence: means.avgCadence, speed: means.avgSpeed },
  });
  const map = new TrackMap(document.getElementById("map"), trace);
  ride.classList.toggle("without-map", !map.exists);
  const panel = new RangePanel(document.getElementById("range"), ride.dataset.id, charts);
  charts.addEventListener("hover", (event) => map.hover(event.detail));
  charts.addEventListener("select", (event) => select(event.detail, { charts, map, panel }));
  place.after(valueTable(trace));
  connect(charts, trace);
  performance.mark("charts-drawn"); // what "opens in a blink" is measured by
  panel.showBalance(trace, fill);
}

function load() {
  chartAt("").then(show, (error) => place.replaceChildren(failed(`The charts could not be loaded. ${error.message}`, load)));
}

let underWay = new AbortController();

// Zoom: at once with what is known, then with what the server draws of the part alone.
async function select(range, { charts, map, panel }) {
  underWay.abort();
  underWay = new AbortController();
  const { signal } = underWay;
  map.show(range);
  panel.show(range, signal);
  if (!range) return;
  try {
    charts.refine(await chartAt(`&from=${range.from}&to=${range.to}`, { signal }));
  } catch (error) {
    if (error.name !== "AbortError") panel.fail(error);
  }
}

// The switches, and everything on the page that names a part of the ride.
function connect(charts, trace) {
  const distance = document.querySelector('input[name="axis"][value="distance"]');
  distance.disabled = !trace.metres;
  document.addEventListener("change", (event) => {
    if (event.target.name === "axis") charts.axisKind = event.target.value;
    if (event.target.name === "smoothing") charts.smoothing = Number(event.target.value);
  });
  for (const button of document.querySelectorAll("button[data-from]")) {
    button.addEventListener("click", () => {
      charts.select({ from: Number(button.dataset.from), to: Number(button.dataset.to) });
      place.scrollIntoView({ block: "center" });
      charts.area.focus({ preventScroll: true });
    });
  }
}

exactTimes(document);
startControls(ride);
drawCurve(document.getElementById("curve"), ride.dataset);
load();
