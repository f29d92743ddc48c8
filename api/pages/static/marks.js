// What is marked above the charts: laps by number; spikes, strays, gaps and pauses as buttons that say what
// they are, to the pointer and to the focus, and look closer when they are pressed.

import { make } from "./dom.js";
import { duration, number } from "./formats.js";
import { timeOfDay } from "./times.js";

const MOST = 30; // buttons: more would lie upon one another
const APART = 24; // px between marks and the numbers of laps: as wide as a button
const AROUND = 30_000; // ms shown before and after a mark

const sentences = {
  gap: ({ from, to }) => `No samples for ${duration((to - from) / 1000)}`,
  pause: ({ from, to }) => `Paused for ${duration((to - from) / 1000)}`,
  spike: ({ power }) => `A spike of ${number(power)}\u2009W: flagged, and counts for no best`,
  stray: ({ samples }) => `${number(samples)} samples of another time: kept, and count for nothing`,
};

const spikeAsMark = ({ timestamp, power }) => ({ kind: "spike", from: timestamp, to: timestamp + 1000, power });
const marksOf = ({ stops, spikes, strays }) => [...spikes.map(spikeAsMark), ...strays, ...stops];

// What is odd at a moment, drawn by stretches of `step` ms; "" if nothing is.
export function explain(marks, moment, step) {
  const found = marksOf(marks).find(({ from, to }) => from - step <= moment && moment < to + step);
  return found ? sentences[found.kind](found) : "";
}

export class MarkRow {
  // `select` gets the range around a mark that was pressed.
  constructor(marks, select) {
    const longest = marksOf(marks).sort((one, other) => other.to - other.from - (one.to - one.from));
    const spikes = longest.filter(({ kind }) => kind === "spike").slice(0, MOST);
    const stops = longest.filter(({ kind }) => kind !== "spike").slice(0, MOST - spikes.length);
    this.important = [...spikes, ...stops].map((mark) => [mark, button(mark, select)]);
    this.buttons = this.important.toSorted(([one], [other]) => one.from - other.from).map(([, element]) => element);
    this.laps = marks.laps.map((at, number) => [at, make("span", { class: "lap-number", "aria-hidden": "true" }, number + 2)]);
    this.element = make("div", { class: "mark-row", hidden: !this.buttons.length && !this.laps.length }, ...this.laps.map(([, element]) => element), ...this.buttons);
  }

  // Where `charts` show them: the more important ones, and what there is room for beside them. Looking closer has the rest.
  place(charts) {
    const { width } = charts;
    const taken = [];
    const place = (element, moment) => {
      const share = charts.xOf(moment);
      const hasRoom = taken.every((other) => Math.abs(other - share) * width >= APART);
      element.hidden = !(share >= 0 && share <= 1 && hasRoom);
      element.style.left = `${share * 100}%`;
      if (!element.hidden) taken.push(share);
    };
    for (const [{ from, to }, element] of this.important) place(element, (from + to) / 2);
    for (const [at, element] of this.laps) place(element, at);
  }
}

function button(mark, select) {
  const said = `${sentences[mark.kind](mark)}, at ${timeOfDay(mark.from, true)}`;
  const element = make("button", { class: `mark mark-${mark.kind}`, type: "button", "aria-label": said, "data-said": said });
  element.addEventListener("click", () => select({ from: mark.from - AROUND, to: mark.to + AROUND }));
  return element;
}
