// Apps of others that are let in, and the rider's own ones.

import "./page.js";
import { call } from "./api.js";
import { refresh } from "./times.js";

const failure = document.getElementById("failure");
const fresh = document.getElementById("fresh");

// The API's names of what the form calls otherwise.
const inWords = (text) => text.replace(/^redirectUris(?:\[(\d+)\])?:?/i, (_, at) => (at === undefined ? "“Comes back to”" : `“Comes back to”, line ${Number(at) + 1},`));

function fail(error) {
  failure.textContent = inWords(error.message);
  failure.hidden = false;
  failure.scrollIntoView({ block: "center" });
}

function appOf(form) {
  const { name, redirectUris, kind } = Object.fromEntries(new FormData(form));
  return { name, redirectUris: redirectUris.split(/\s+/).filter(Boolean), confidential: kind === "confidential" };
}

// The secret, if there is one, shown this once, above the apps that there are now.
async function showApp({ clientSecret }) {
  fresh.hidden = !clientSecret;
  fresh.querySelector(".secret").textContent = clientSecret ?? "";
  await refresh("apps-made");
  if (clientSecret) fresh.scrollIntoView({ block: "center" });
}

const reload = () => location.reload();
const BUTTONS = {
  disconnect: ({ app }) => call("DELETE", `/api/connections/${app}`).then(reload),
  delete: ({ app }) => call("DELETE", `/api/apps/${app}`).then(reload),
  copy: () => navigator.clipboard.writeText(fresh.querySelector(".secret").textContent),
};

document.querySelector("form[data-does=register]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  failure.hidden = true;
  const form = event.target;
  call("POST", "/api/apps", appOf(form)).then(showApp).then(() => form.reset()).catch(fail);
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  const does = BUTTONS[button?.dataset.does];
  if (!does) return;
  button.closest("dialog")?.close();
  failure.hidden = true;
  does(button.dataset).catch(fail);
});
