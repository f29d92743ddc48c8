// Edit, delete, leave out, crop back: what the rider may do with the ride, by the API.

import { call, get } from "./api.js";

const PATIENCE = 10_000; // ms for the workers to compute anew
const PAUSE = 400;

export function startControls(ride) {
  const path = `/api/workouts/${ride.dataset.id}`;
  const failure = document.getElementById("failure");

  const actions = {
    uncrop: () => call("DELETE", `${path}/crop`),
    include: () => call("POST", `${path}/include`, {}),
    exclude: () => call("POST", `${path}/exclude`, {}),
    standalone: () => call("PATCH", path, { duplicateOf: null }),
    vouch: (button) => call("POST", `${path}/include`, { spike: Number(button.dataset.spike) }),
  };
  const FOLDED = ["uncrop", "vouch"]; // whose figures the workers compute anew

  // Do it, and show the ride as it is then; with `isFolded`, once it has other figures.
  async function run(action, isFolded = false) {
    failure.hidden = true;
    document.body.inert = true;
    try {
      const before = isFolded ? await get(path) : null;
      await action();
      if (before) await settled(path, before.workout);
      location.reload();
    } catch (error) {
      document.body.inert = false;
      fail(error);
    }
  }

  function fail(error) {
    failure.textContent = error.message;
    failure.hidden = false;
    failure.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("change-ride", ({ detail }) => run(detail.action, detail.isFolded));
  for (const button of document.querySelectorAll("button[data-does]")) {
    button.addEventListener("click", () => run(() => actions[button.dataset.does](button), FOLDED.includes(button.dataset.does)));
  }
  for (const button of document.querySelectorAll("button[data-opens]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
  }
  document.querySelector('form[data-does="edit"]')?.addEventListener("submit", (event) => {
    if (event.submitter?.value === "save") run(() => call("PATCH", path, Object.fromEntries(new FormData(event.target))));
  });
  document.querySelector('form[data-does="delete"]')?.addEventListener("submit", (event) => {
    if (event.submitter?.value !== "delete") return;
    call("DELETE", path).then(() => location.assign("/"), fail);
  });
}

// Returns once the workers have computed the figures anew, or it takes too long to wait for.
async function settled(path, before) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const { workout } = await get(path);
    if (JSON.stringify(workout.summary) !== JSON.stringify(before.summary)) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
