// A chart that is read by pointer and by arrow keys: a line stands where it is read.

import { svg } from "./dom.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

// `count` places; `placeAt` of a pixel, `x` and `tell` of a place; the line is from `top` to `bottom`.
export function makeReadable(picture, shown, { label, count, placeAt, x, tell, top, bottom }) {
  const line = svg("line", { class: "day-line", y1: top, y2: bottom, visibility: "hidden" });
  let place = count - 1;
  picture.append(line);

  const read = (wanted) => {
    place = Math.min(Math.max(wanted, 0), count - 1);
    line.setAttribute("x1", x(place));
    line.setAttribute("x2", x(place));
    line.setAttribute("visibility", "visible");
    shown.textContent = tell(place);
    announce();
  };
  const announce = () => {
    const values = { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0, "aria-valuemax": count - 1, "aria-valuenow": place, "aria-valuetext": tell(place) };
    for (const [name, value] of Object.entries(values)) picture.setAttribute(name, value);
  };
  const leave = () => {
    line.setAttribute("visibility", "hidden");
    shown.textContent = "";
  };

  announce();
  picture.addEventListener("pointermove", (event) => read(placeAt(event.offsetX)));
  picture.addEventListener("pointerleave", leave);
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    read(place + STEPS[event.key]);
  });
}
