// Athletes are accepted, declined and left; afterwards the page shows what holds then.

import "./page.js";
import { call } from "./api.js";

const failure = document.getElementById("failure");

async function run(method, path) {
  failure.hidden = true;
  try {
    await call(method, path);
    location.reload();
  } catch (error) {
    failure.textContent = error.message;
    failure.hidden = false;
  }
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  const { accepts, leaves, opens } = button?.dataset ?? {};
  if (opens) document.getElementById(opens).showModal();
  if (leaves) button.closest("dialog")?.close();
  if (accepts) run("POST", `/api/athletes/${accepts}/accept`);
  if (leaves) run("DELETE", `/api/athletes/${leaves}`);
});
