// Keys on every page: "/" searches, "j" and "k" go through rides, "?" lists them all.

const isTyping = (element) => element.closest("input, textarea, select, dialog[open], [contenteditable]");

function search() {
  const field = document.querySelector("[data-search]");
  if (field) field.select();
  else if (document.querySelector('a[href="/rides"]')) location.assign("/rides#search");
}

// To the next or the former ride of the list that the focus is in, or else the first.
function step(by) {
  const rides = [...document.querySelectorAll("[data-ride]")];
  if (!rides.length) return;
  const at = rides.findIndex((ride) => ride.contains(document.activeElement));
  const next = rides[at < 0 ? 0 : Math.min(Math.max(at + by, 0), rides.length - 1)];
  (next.querySelector("a") ?? next).focus();
}

const list = () => document.getElementById("keys-list")?.showModal();

const KEYS = { "/": search, j: () => step(1), k: () => step(-1), "?": list };

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  document.getElementById("show-keys")?.addEventListener("click", list);
  if (location.hash === "#search") search();
}
