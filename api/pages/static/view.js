// Charts and map of a ride in step, and the figures of what is selected: of the rider's own ride,
// and of one that a link opens, while it goes on and afterwards.

import { get } from "./api.js";
import { Charts, isDrawable } from "./charts.js";
import { failed, make } from "./dom.js";
import { GrowingTrace } from "./growing.js";
import { watch } from "./live.js";
import { TrackMap } from "./map.js";
import { RangePanel } from "./range.js";
import { Trace, withSpeed } from "./trace.js";
import { valueTable } from "./values.js";

const NO_GAP = { most: 90_000, least: 10_000 }; // ms without a reading, as for the figures
const MAP_EVERY = 3000; // ms, while it grows

const ofKind = (kind, found) => found.map((each) => ({ kind, ...each }));
const meansOf = ({ avgPower, avgHeartrate, avgCadence, avgSpeed, wPrimeBalanceMin }) => ({ power: avgPower ?? undefined, heartrate: avgHeartrate ?? undefined, cadence: avgCadence ?? undefined, speed: avgSpeed ?? undefined, wPrime: wPrimeBalanceMin ?? undefined });

// Load what is drawn of the ride, and draw it; one that is under way is watched.
export async function openRide(ride) {
  const view = new RideView(ride);
  if ("live" in ride.dataset) watch(ride, view);
  else await view.load();
}

class RideView {
  constructor(ride) {
    this.ride = ride;
    this.path = ride.dataset.path;
    this.isOwn = "own" in ride.dataset;
    this.marks = JSON.parse(ride.dataset.marks);
    this.means = meansOf(JSON.parse(ride.dataset.figures));
    this.place = document.getElementById("charts");
    this.underWay = new AbortController();
  }

  // As many as the screen can show.
  get points() {
    return Math.min(Math.max(Math.round(this.place.clientWidth), 300), 2000);
  }

  // What the server draws of the whole ride: what the page has asked for before its scripts came.
  whole() {
    return get(this.ride.dataset.chart);
  }

  // What it draws of a part of it.
  part(from, to, options) {
    return get(`${this.path}/chart?points=${this.points}&from=${from}${to ? `&to=${to}` : ""}`, options);
  }

  async load() {
    try {
      this.show(new Trace(withSpeed(await this.whole(), this.#fill())));
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    this.place.replaceChildren(failed(`The charts could not be loaded. ${error.message}`, () => this.load()));
  }

  show(trace) {
    const isLive = "live" in this.ride.dataset;
    if (!trace.count || !Object.keys(trace.channels).length) {
      this.place.replaceChildren(make("p", { class: "empty-line" }, "No samples to draw yet. They appear when the device has sent some: ", make("a", { href: "" }, "look again"), "."));
      return;
    }
    this.trace = trace;
    if (!isLive && !isDrawable(trace)) {
      this.#offerSwitches();
      this.#drawMap();
      this.place.replaceChildren(make("p", { class: "empty-line" }, "There is nothing to draw over time: the ride has no power, heart rate, cadence, speed or altitude."));
      return;
    }
    const hasBalance = this.isOwn && !isLive && this.means.wPrime !== undefined;
    if (hasBalance) trace.channels.wPrime = { values: new Array(trace.count).fill(null) }; // its place, until it is there
    this.charts = new Charts(this.place, trace, { marks: this.#marks(), fill: this.#fill(), means: this.means });
    this.panel = new RangePanel(document.getElementById("range"), this.path, this.charts, this.isOwn);
    this.charts.addEventListener("hover", (event) => this.map.hover(event.detail));
    this.charts.addEventListener("select", (event) => this.#select(event.detail));
    this.#drawMap();
    this.place.after(valueTable(trace));
    this.#connect();
    performance.mark("charts-drawn"); // what "opens in a blink" is measured by
    if (hasBalance) this.panel.loadBalance(trace);
  }

  // Samples were added to the trace, or there are other figures of the ride.
  grow(figures) {
    if (figures) this.means = this.charts.means = meansOf(figures);
    if (this.charts.isWhole) this.charts.shownMeans = this.means;
    if (this.near) this.charts.follow(this.near, this.span);
    else this.charts.grow();
    this.#offerSwitches();
    if (Date.now() - this.mapDrawn > MAP_EVERY && (this.near || this.charts.isWhole)) this.#drawMap();
  }

  // Further samples of a ride under way, as the stream has them; returns whether they tell anything new.
  add(columns) {
    this.near?.add(columns);
    return this.trace.add(columns);
  }

  // Show the last ms alone, and go on so; 0 shows the whole ride.
  async #follow(span) {
    this.near = null;
    this.span = span;
    if (!span) return this.charts.select(null);
    try {
      const near = await this.part(this.trace.end - span);
      if (this.span !== span) return;
      this.near = new GrowingTrace(near, 2 * this.points);
      this.grow();
    } catch (error) {
      this.panel.fail(error);
    }
  }

  #drawMap() {
    this.mapDrawn = Date.now();
    const end = "live" in this.ride.dataset ? "Now" : "Finish";
    this.map = new TrackMap(document.getElementById("map"), this.trace, { end, fill: this.#fill() });
    this.ride.classList.toggle("without-map", !this.map.exists);
    this.ride.classList.toggle("wide-track", Boolean(this.map.isWide));
    if ("live" in this.ride.dataset) this.map.hover(this.trace.end - 1);
  }

  // A pause is also a gap in what was recorded: it is told of once.
  #marks() {
    const { gaps, spikes, strays, laps } = this.marks;
    const pauses = ofKind("pause", this.marks.pauses.map(({ start, end }) => ({ from: start, to: end })));
    const isPaused = (gap) => pauses.some((pause) => pause.from < gap.to && pause.to > gap.from);
    const stops = [...pauses, ...ofKind("gap", gaps.filter((gap) => !isPaused(gap)))];
    return { stops, spikes, strays: ofKind("stray", strays), laps };
  }

  #fill() {
    return Math.min(Math.max(3000 * (this.marks.interval ?? 1), NO_GAP.least), NO_GAP.most);
  }

  // Zoom: at once with what is known, then with what the server draws of the part alone.
  async #select(range) {
    this.underWay.abort();
    this.underWay = new AbortController();
    const { signal } = this.underWay;
    this.near = null;
    this.span = 0;
    const wholeRide = document.querySelector('input[name="span"][value="0"]');
    if (wholeRide) wholeRide.checked = true;
    this.map.show(range);
    this.panel.show(range, signal);
    if (!range) return;
    try {
      const part = new Trace(withSpeed(await this.part(range.from, range.to, { signal }), this.#fill()));
      this.charts.refine(part);
      this.panel.showDrawn(range, part);
    } catch (error) {
      if (error.name !== "AbortError") this.panel.fail(error);
    }
  }

  // Those that would change anything.
  #offerSwitches() {
    const offer = (name, isOffered) => (document.querySelector(`input[name="${name}"]`).closest("fieldset").hidden = !isOffered);
    offer("axis", isDrawable(this.trace) && this.trace.metres);
    offer("smoothing", this.trace.channels.power);
    document.querySelector(".chart-head").hidden = !isDrawable(this.trace);
  }

  // The switches, and everything on the page that names a part of the ride.
  #connect() {
    this.#offerSwitches();
    document.addEventListener("change", ({ target }) => {
      if (target.name === "axis") this.charts.axisKind = target.value;
      if (target.name === "span") this.#follow(Number(target.value));
      if (target.name === "smoothing") this.charts.smoothing = Number(target.value);
    });
    for (const button of document.querySelectorAll("button[data-shows-rest]")) button.addEventListener("click", () => showRest(button));
    for (const button of document.querySelectorAll("button[data-from]")) {
      button.addEventListener("click", () => {
        this.charts.select({ from: Number(button.dataset.from), to: Number(button.dataset.to) });
        this.place.parentElement.scrollIntoView({ block: "start" });
        this.charts.area.focus({ preventScroll: true });
      });
    }
  }
}

// Of laps or intervals of which the first are shown.
function showRest(button) {
  const rest = button.closest("section").querySelector("tbody[hidden]");
  rest.hidden = false;
  rest.querySelector("button")?.focus();
  button.remove();
}
