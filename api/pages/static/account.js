// The forms of the account, sent by the API; afterwards the page shows what holds then.

import "./page.js";
import "./places.js";
import { call } from "./api.js";
import { make } from "./dom.js";
import { refresh } from "./times.js";

const POUND = 0.45359237;
const THRESHOLDS = ["ftp", "criticalPower", "wPrime", "thresholdHeartrate", "maxHeartrate", "weight", "source"];
const failure = document.getElementById("failure");

// An old session may not do what cannot be undone: sign in again, and come back to the same part.
const tooOld = ({ status, message }) => status === 403 && /^log in again/i.test(message);

function fail(error) {
  if (tooOld(error)) failure.replaceChildren(make("span", {}, "For this you must have signed in within the last ten minutes."), make("a", { href: `/sign-in?again=true&next=${encodeURIComponent("/account#profile")}`, class: "button small" }, "Sign in again"));
  else failure.textContent = error.message;
  failure.hidden = false;
  failure.scrollIntoView({ block: "center" });
}

const filled = (form) => [...new FormData(form)].filter(([, value]) => value !== "");

function thresholdsOf(form) {
  const given = Object.fromEntries(filled(form));
  for (const name of THRESHOLDS) {
    if (name !== "source" && name in given) given[name] = Number(given[name]);
  }
  if (given.wPrime) given.wPrime *= 1000;
  if (form.dataset.units === "imperial" && given.weight) given.weight *= POUND;
  return given;
}

function keyOf(form) {
  const { name, expiresAt } = Object.fromEntries(filled(form));
  const scopes = new FormData(form).getAll("scopes");
  if (!scopes.length) throw new Error("Say what the key may do.");
  return { name, scopes, expiresAt: expiresAt ? new Date(`${expiresAt}T23:59:59`).toISOString() : null };
}

// The secret, shown this once, above the keys that there are now.
async function showKey({ secret }) {
  const fresh = document.getElementById("fresh");
  fresh.querySelector(".secret").textContent = secret;
  fresh.hidden = false;
  fresh.scrollIntoView({ block: "center" });
  fresh.querySelector("button").focus({ preventScroll: true });
  await refresh("keys-made");
}

const reload = () => location.reload();
const never = Object.fromEntries(THRESHOLDS.map((name) => [name, null]));

const FORMS = {
  "add-thresholds": (form) => call("PUT", "/api/users/me/thresholds", thresholdsOf(form)).then(reload),
  "create-key": (form) => call("POST", "/api/keys", keyOf(form)).then(showKey).then(() => form.reset()),
  profile: (form) => call("PATCH", "/api/users/me", { ...Object.fromEntries(new FormData(form)) }).then(reload),
  password: (form) => call("PUT", "/api/users/me/password", { password: new FormData(form).get("password") }).then(reload),
};

const BUTTONS = {
  "remove-thresholds": ({ day, sport }) => call("PUT", "/api/users/me/thresholds", { effectiveFrom: day, sport, ...never }).then(reload),
  revoke: ({ key }) => call("DELETE", `/api/keys/${key}`).then(reload),
  copy: () => navigator.clipboard.writeText(document.querySelector(".secret").textContent),
};

// Async, so that what a form lacks fails like what the API refuses.
async function run(action, of) {
  failure.hidden = true;
  await action(of);
}

for (const form of document.querySelectorAll("form[data-does]")) {
  form.addEventListener("submit", (event) => {
    if (!FORMS[form.dataset.does]) return;
    event.preventDefault();
    run(FORMS[form.dataset.does], form).catch(fail);
  });
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-does]");
  if (button && BUTTONS[button.dataset.does]) run(BUTTONS[button.dataset.does], button.dataset).catch(fail);
});
for (const button of document.querySelectorAll("button[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}

// Offer the browser's time zone where the account has another one.
const zone = document.querySelector("[data-zone-field]");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && own && zone.value !== own) {
  const use = make("button", { class: "button small", type: "button" }, `Use ${own}, this browser’s`);
  use.addEventListener("click", () => {
    zone.value = own;
    use.remove();
  });
  zone.closest("form").nextElementSibling.append(use);
}

const deletion = document.getElementById("delete-account");
deletion?.addEventListener("close", () => {
  const field = deletion.querySelector("[data-expected]");
  if (deletion.returnValue !== "delete") return;
  if (field.value.trim().toLowerCase() !== field.dataset.expected.toLowerCase()) fail(new Error("That was not your email: nothing was deleted."));
  else call("DELETE", "/api/users/me").then(() => location.assign("/"), fail);
});
