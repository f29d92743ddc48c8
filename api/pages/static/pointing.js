// Mouse, pen and finger over the charts. A mouse reads as it moves, and selects as it drags. A
// finger reads as it slides sideways (up and down scrolls the page), selects once it was held.

import { make } from "./dom.js";

const SHORTEST = 6; // px of a drag
const HOLD = 350; // ms

// `charts`: hover(moment), momentAt(share), selectBetween(from, to), select(null).
export function followPointer(area, charts) {
  const pointing = new Pointing(area, charts);
  const on = (names, act) => names.split(" ").forEach((name) => area.addEventListener(name, act));
  on("pointerdown", (event) => pointing.press(event));
  on("pointermove", (event) => pointing.move(event));
  on("pointerup", (event) => pointing.release(event));
  on("pointercancel", () => pointing.drop());
  on("pointerleave", (event) => pointing.leave(event));
  on("dblclick", () => charts.select(null));
  // A held finger would open the browser's menu, and once it selects, the page must not scroll.
  on("contextmenu", (event) => pointing.isTouch && event.preventDefault());
  area.addEventListener("touchmove", (event) => pointing.isSelecting && event.cancelable && event.preventDefault(), { passive: false });
}

class Pointing {
  constructor(area, charts) {
    Object.assign(this, { area, charts, isTouch: false, isSelecting: false });
    this.band = make("div", { class: "drag-band", hidden: true });
    area.append(this.band);
  }

  press(event) {
    if (event.button !== 0) return;
    this.isTouch = event.pointerType === "touch";
    this.pressed = this.#share(event);
    this.area.setPointerCapture(event.pointerId);
    this.charts.hover(this.charts.momentAt(this.pressed));
    if (this.isTouch) this.holding = setTimeout(() => this.#begin(), HOLD);
    else this.isSelecting = true;
  }

  move(event) {
    const share = this.#share(event);
    this.#hoverSoon(share);
    if (this.pressed === undefined) return;
    const distance = Math.abs(share - this.pressed) * this.area.clientWidth;
    if (distance >= SHORTEST) clearTimeout(this.holding);
    if (!this.isSelecting) return;
    this.band.hidden = distance < SHORTEST && !this.isTouch;
    this.#stretch(share);
  }

  release(event) {
    const share = this.#share(event);
    const isDrag = this.isSelecting && Math.abs(share - this.pressed) * this.area.clientWidth >= SHORTEST;
    const shares = [this.pressed, share].sort((one, other) => one - other);
    this.drop();
    if (isDrag) this.charts.selectBetween(...shares.map((each) => this.charts.momentAt(each)));
  }

  drop() {
    clearTimeout(this.holding);
    this.pressed = undefined;
    this.isSelecting = false;
    this.band.hidden = true;
  }

  // What a finger has found stays to be read.
  leave(event) {
    if (event.pointerType === "touch") return;
    cancelAnimationFrame(this.soon);
    this.charts.hover(null);
  }

  #begin() {
    this.isSelecting = true;
    this.band.hidden = false;
    this.#stretch(this.pressed);
  }

  #stretch(share) {
    this.band.style.left = `${Math.min(share, this.pressed) * 100}%`;
    this.band.style.width = `max(${Math.abs(share - this.pressed) * 100}%, 2px)`;
  }

  // Once a frame, however often the pointer moves.
  #hoverSoon(share) {
    cancelAnimationFrame(this.soon);
    this.soon = requestAnimationFrame(() => this.charts.hover(this.charts.momentAt(share)));
  }

  #share(event) {
    const { left, width } = this.area.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - left) / width, 0), 1);
  }
}
