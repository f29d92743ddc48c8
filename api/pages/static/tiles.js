// Tiles of a map below a track, from the host that the operator has chosen; without one, none.

import { make, svg } from "./dom.js";

export const EARTH = 40_075_016.686; // metres around it, and the width of the map
const TILE = 256; // px
const DEEPEST = 18;
const MOST = 40; // tiles at a time

// Metres east and south of where the equator meets Greenwich, on the map that all tiles are cut from.
export function placeOf(lat, lng) {
  const bend = Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360));
  return [(lng / 360) * EARTH, (-bend / (2 * Math.PI)) * EARTH];
}

// Below what a picture shows, whose zero is at `origin`. Gives the line that says whose map it is.
export function startTiles(picture, origin) {
  const { tiles, tilesBy } = document.documentElement.dataset;
  if (!tiles) return null;
  const below = svg("g", { class: "tiles" });
  picture.prepend(below);
  new ResizeObserver(() => below.replaceChildren(...imagesOf(picture, origin, tiles))).observe(picture);
  return make("p", { class: "hint" }, `Map: ${tilesBy}`);
}

function imagesOf(picture, origin, address) {
  const { x, y, width, height, scale } = shownBy(picture);
  const wanted = Math.round(Math.log2((EARTH * scale) / TILE));
  const zoom = Math.min(Math.max(wanted, 0), DEEPEST);
  const size = EARTH / 2 ** zoom;
  const [west, north] = origin.map((at) => at + EARTH / 2);
  const found = [];
  for (let column = Math.floor((x + west) / size); column * size < x + width + west; column += 1) {
    for (let row = Math.floor((y + north) / size); row * size < y + height + north; row += 1) {
      if (row >= 0 && row < 2 ** zoom && found.length < MOST) found.push(image(address, zoom, column, row, size, west, north));
    }
  }
  return found;
}

function image(address, zoom, column, row, size, west, north) {
  const count = 2 ** zoom;
  const href = address.replace("{z}", zoom).replace("{x}", ((column % count) + count) % count).replace("{y}", row);
  return svg("image", { href, x: column * size - west, y: row * size - north, width: size, height: size });
}

// The part of the plane that is visible, wider than the view box where the element is.
function shownBy(picture) {
  const box = picture.viewBox.baseVal;
  const { width, height } = picture.getBoundingClientRect();
  const scale = Math.min(width / box.width, height / box.height) || 1;
  const [across, down] = [width / scale, height / scale];
  return { x: box.x - (across - box.width) / 2, y: box.y - (down - box.height) / 2, width: across, height: down, scale };
}
