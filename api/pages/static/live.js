// A ride under way: its samples and figures as they come, until it is over. The browser resumes a
// stream that broke off by itself; one that is refused begins anew.

import { get, ofWhom } from "./api.js";
import { make } from "./dom.js";
import { duration } from "./formats.js";
import { GrowingTrace } from "./growing.js";
import { Latest, sentence, writeBests, writeLatest, writeSummary } from "./running.js";

// ms: how much is asked for again, as positions of shared rides come later than the rest; until
// another try; between sentences for screen readers; after which nobody is said to be riding.
const OVERLAP = 600_000;
const AGAIN = 5000;
const SAID_EVERY = 60_000;
const SILENT = 90_000;

export function watch(ride, view) {
  new Live(ride, view).begin();
}

class Live {
  constructor(ride, view) {
    this.path = ride.dataset.path;
    this.view = view;
    this.now = document.getElementById("now");
    this.values = document.getElementById("now-values");
    this.latest = new Latest();
    this.balance = null;
    this.refusals = 0;
    this.saidAt = -Infinity;
    this.newsAt = -Infinity;
    this.state = "Connecting …";
    this.clock = setInterval(() => this.#tell(), 1000);
  }

  async begin() {
    try {
      if (this.trace) await get(this.path); // says whether it is there still
      else this.trace = new GrowingTrace(await this.view.whole(), 2 * this.view.points);
      this.#start();
    } catch (error) {
      if (error.status === 404) this.#gone();
      else if (error.status === 401) this.#close("Signed out. Load the page again to sign in.");
      else this.#again(AGAIN);
    }
  }

  #start() {
    const { trace } = this;
    const columns = Object.fromEntries(Object.entries(trace.channels).map(([name, { values }]) => [name, values]));
    if (trace.count) this.latest.note(trace.times, columns);
    this.#draw();
    const back = Math.max(trace.end - OVERLAP - trace.start, 0);
    const since = trace.count ? trace.start + back - (back % trace.step) : 0;
    this.stream = new EventSource(ofWhom(`${this.path}/live?from=${since}`));
    const hear = (name, act) => this.stream.addEventListener(name, ({ data }) => act(JSON.parse(data)));
    this.stream.addEventListener("open", () => this.#opened());
    this.stream.addEventListener("error", () => this.#broken());
    hear("samples", (columns) => this.#add(columns));
    hear("summary", (figures) => this.#sum(figures));
    hear("end", () => this.#end());
    hear("gone", () => this.#gone());
  }

  #add({ timestamp, ...columns }) {
    this.latest.note(timestamp, columns);
    const grown = this.view.trace === this.trace ? this.view : this.trace;
    if (grown.add({ timestamp, ...columns })) this.newsAt = Date.now();
    cancelAnimationFrame(this.soon);
    this.soon = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const isEmpty = !Object.keys(this.trace.channels).length;
    this.view.ride.classList.toggle("without-samples", isEmpty);
    if (isEmpty) {
      this.view.ride.classList.add("without-map");
      this.view.place.replaceChildren(make("p", { class: "empty-line" }, "Nothing has arrived yet. The charts begin with the first samples, by themselves."));
      return;
    }
    if (this.view.trace === this.trace) this.view.grow();
    else this.view.show(this.trace);
    writeLatest(this.values, this.latest, this.balance);
    this.#tell();
  }

  #sum({ summary, bests, wPrimeBalance }) {
    if (!summary) return;
    this.summary = summary;
    this.balance = wPrimeBalance ?? null;
    writeSummary(summary);
    writeBests(document.getElementById("now-bests"), bests ?? []);
    if (this.view.trace === this.trace) this.view.grow(summary);
    writeLatest(this.values, this.latest, this.balance);
  }

  // How far behind the rider this is, or why nothing comes.
  #tell() {
    const behind = Math.max(Date.now() - this.latest.moment, 0);
    const isRiding = !this.state && Math.min(behind, Date.now() - this.newsAt) < SILENT;
    this.now.classList.toggle("now-silent", !isRiding);
    document.getElementById("now-state").textContent = this.state || this.#behind(behind);
    if (!isRiding || Date.now() - this.saidAt < SAID_EVERY) return;
    this.saidAt = Date.now();
    document.getElementById("now-said").textContent = sentence(this.latest, this.summary);
  }

  #behind(behind) {
    if (behind === Infinity) return "Waiting for the first samples";
    if (behind < SILENT) return `Behind by ${Math.round(behind / 1000)}\u2009s`;
    if (Date.now() - this.newsAt < SILENT) return `Catching up: behind by ${duration(behind / 1000)}`;
    return behind < 86_400_000 ? `Nothing new for ${duration(behind / 1000)}` : "Nothing new for more than a day";
  }

  #set(state) {
    this.state = state;
    this.#tell();
  }

  #opened() {
    this.refusals = 0;
    this.#set("");
  }

  // A stream is refused where a link was revoked or a ride deleted, or where too many watch.
  #broken() {
    this.#set("Connecting again …");
    if (this.stream.readyState === EventSource.CLOSED) this.#again(this.refusals++ ? AGAIN : 0);
  }

  #again(pause) {
    this.stream?.close();
    this.#set("Connecting again …");
    setTimeout(() => this.begin(), pause);
  }

  // Show the ride as it is now; not while somebody fills in a form on the page.
  #end() {
    this.#close("The ride is over.");
    const open = document.querySelector("dialog[open]");
    if (open) open.addEventListener("close", () => location.reload());
    else location.reload();
  }

  #gone() {
    const isOwn = "own" in this.view.ride.dataset;
    this.#close(isOwn ? "This ride was deleted." : "This link opens nothing any more.");
    this.now.classList.add("now-gone");
    document.getElementById("now-said").textContent = this.state;
    if (!isOwn) location.reload();
  }

  #close(state) {
    this.stream?.close();
    clearInterval(this.clock);
    this.#set(state);
  }
}
