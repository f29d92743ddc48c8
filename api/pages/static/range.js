// What is known of the selected part of a ride: its own figures, computed by the server for its
// rider; others see the means of what is drawn.

import { call, get } from "./api.js";
import { failed, figure, make } from "./dom.js";
import { duration, shown, UNITS } from "./formats.js";
import { extent } from "./scale.js";

const SHOWN = [
  ["Average", "avgPower", "power"],
  ["Normalized", "normalizedPower", "power"],
  ["Work", "totalEnergy", "energy"],
  ["Heart rate", "avgHeartrate", "heartrate"],
  ["Distance", "totalDistance", "distance"],
  ["Climb", "totalElevationGain", "altitude"],
];

export class RangePanel {
  constructor(element, path, charts, isOwn) {
    this.element = element;
    this.path = path;
    this.charts = charts;
    this.isOwn = isOwn;
    this.balance = null;
    this.idle = [...element.childNodes];
    this.mayChange = document.getElementById("edit") !== null;
  }

  async show(range, signal) {
    this.charts.showMeans(null);
    this.charts.showBalance(this.balance);
    const head = this.element.parentElement;
    head.style.minHeight = range ? `${head.offsetHeight}px` : ""; // also where the figures float
    this.element.classList.toggle("range-chosen", range !== null);
    if (!range) {
      this.element.replaceChildren(...this.idle);
      return;
    }
    this.#write(range, null);
    if (!this.isOwn) return;
    try {
      const { figures, wPrimeBalance } = await this.#measure(range, { signal });
      this.#write(range, figures);
      const lowest = extent(wPrimeBalance?.values ?? [])?.[0];
      this.charts.showMeans({ power: figures.avgPower, heartrate: figures.avgHeartrate, cadence: figures.avgCadence, speed: figures.avgSpeed, wPrime: lowest });
      if (this.balance && wPrimeBalance) this.charts.showBalance(wPrimeBalance); // finer than the whole ride's
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  // `part`: the trace of the range.
  showDrawn(range, part) {
    if (this.isOwn) return;
    const means = { power: part.mean("power"), heartrate: part.mean("heartrate"), cadence: part.mean("cadence"), speed: part.mean("speed") };
    this.charts.showMeans(means);
    this.#write(range, { avgPower: means.power ?? undefined, avgHeartrate: means.heartrate ?? undefined });
  }

  fail(error) {
    this.element.querySelector(".failed")?.remove();
    this.element.append(failed(error.message, () => this.charts.select(this.charts.range)));
  }

  #measure({ from, to }, options) {
    return get(`${this.path}/figures?from=${from}&to=${to}`, options);
  }

  #write(range, figures) {
    const known = SHOWN.filter(([, member]) => (figures ? figures[member] !== undefined : this.isOwn));
    const entries = known.map(([name, member, channel]) => make("div", {}, make("dt", {}, name), make("dd", {}, figures ? figure(shown(channel, figures[member]), UNITS[channel].name) : "…")));
    const length = make("div", {}, make("dt", {}, "Selected"), make("dd", { class: "number" }, duration((range.to - range.from) / 1000)));
    const list = make("dl", { class: "range-figures" }, length, ...entries);
    if (figures) this.element.querySelector(".range-figures").replaceWith(list); // a menu that was opened stays open
    else this.element.replaceChildren(list, this.#buttons(range));
  }

  #buttons(range) {
    const back = make("button", { class: "button small" }, "Whole ride");
    back.addEventListener("click", () => this.charts.select(null));
    if (!this.mayChange) return make("div", { class: "actions" }, back);
    const body = make("div", { class: "menu-body" },
      this.#change("Keep only this part", "POST", "crop", range),
      this.#change("Leave it out of records", "POST", "exclude", range),
      this.#change("Remove its samples for good", "DELETE", `telemetry?from=${range.from}&to=${range.to}`));
    const menu = make("details", { class: "menu button-menu" }, make("summary", { class: "button small" }, "This part"), body);
    return make("div", { class: "actions" }, back, menu);
  }

  #change(text, method, path, body) {
    const button = make("button", { class: method === "DELETE" ? "as-link bad" : "as-link" }, text);
    button.addEventListener("click", () => {
      if (method === "DELETE" && button.dataset.sure === undefined) {
        button.dataset.sure = "";
        button.textContent = "There is no way back: remove them";
        return;
      }
      const action = () => call(method, `${this.path}/${path}`, body);
      document.dispatchEvent(new CustomEvent("change-ride", { detail: { action, isFolded: path !== "exclude" } }));
    });
    return button;
  }

  // W′ balance of the whole ride; without it, its chart goes.
  async loadBalance(trace) {
    const { wPrimeBalance } = await this.#measure({ from: trace.start, to: trace.end }).catch(() => ({}));
    this.balance = wPrimeBalance ?? null;
    if (!this.balance) {
      delete trace.channels.wPrime;
      this.charts.grow();
    } else if (this.charts.isWhole) this.charts.showBalance(this.balance);
  }
}
