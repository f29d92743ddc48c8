// The account's links, the people who are let in, and the places that no link shows.

import { call, get } from "./api.js";

const section = document.getElementById("sharing");
const failure = document.getElementById("failure");
const places = JSON.parse(section.dataset.places);

const attempt = (action) => async (event) => {
  event.preventDefault();
  event.currentTarget.closest("dialog")?.close();
  failure.hidden = true;
  try {
    await action(event.currentTarget ?? event.target);
    location.reload();
  } catch (error) {
    failure.textContent = error.message;
    failure.hidden = false;
    failure.scrollIntoView({ block: "center" });
  }
};

const keep = (wanted) => call("PUT", "/api/users/me/places", { places: wanted });

// Where a ride began: its first position.
async function startOf(ride) {
  const { channels } = await get(`/api/workouts/${ride}/chart?channels=lat,lng&points=5000`);
  const at = channels.lat?.values.findIndex((value, place) => value !== null && channels.lng?.values[place] !== null) ?? -1;
  if (at < 0) throw new Error("This ride has no positions.");
  return { lat: channels.lat.values[at], lng: channels.lng.values[at] };
}

async function add(form) {
  const { name, radius, ride, lat, lng } = Object.fromEntries(new FormData(form));
  if (!ride && !(lat && lng)) throw new Error("Say where: choose a ride that began there, or give its coordinates.");
  const where = ride ? await startOf(ride) : { lat: Number(lat), lng: Number(lng) };
  await keep([...places, { name, ...where, radius: Number(radius) }]);
}

section.querySelector('form[data-does="add-place"]')?.addEventListener("submit", attempt(add));
section.querySelector('form[data-does="let-in"]')?.addEventListener(
  "submit",
  attempt((form) => call("POST", "/api/shares", { email: new FormData(form).get("email") })),
);
for (const button of section.querySelectorAll("button[data-place]")) {
  button.addEventListener("click", attempt(({ dataset }) => keep(places.filter((_, at) => at !== Number(dataset.place)))));
}
for (const button of section.querySelectorAll("button[data-share]")) {
  button.addEventListener("click", attempt(({ dataset }) => call("DELETE", `/api/shares/${dataset.share}`)));
}
