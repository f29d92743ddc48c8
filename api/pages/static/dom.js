// Elements, without a framework.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Draw into an element now and whenever its width changes, so that text keeps its size.
export function fitted(element, draw) {
  let drawn = 0;
  new ResizeObserver(() => {
    const width = element.clientWidth;
    if (!width || width === drawn) return;
    drawn = width;
    element.replaceChildren(...draw(width));
  }).observe(element);
}

// What could not be shown, and the one thing to do about it.
export function failed(message, retry) {
  const button = make("button", { class: "button small", type: "button" }, "Try again");
  button.addEventListener("click", retry);
  return make("p", { class: "failed failed-line", role: "alert" }, make("span", {}, message), button);
}

// A number with its unit, smaller and lighter.
export const figure = (value, unit) => make("span", { class: "number" }, value, value === "–" ? null : make("span", { class: "unit" }, unit));

// The value of a custom property, such as a colour.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
