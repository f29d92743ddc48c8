// Webhooks: make, change, rotate, delete; and deliver again. Afterwards the page shows what holds then.

import "./page.js";
import { call } from "./api.js";
import { refresh } from "./times.js";

const failure = document.getElementById("failure");
const place = `/api/webhooks/${document.querySelector("[data-webhook]")?.dataset.webhook}`;
const reload = () => location.reload();

function fail(error) {
  failure.textContent = error.message;
  failure.hidden = false;
  failure.scrollIntoView({ block: "center" });
}

function wantedOf(form) {
  const events = new FormData(form).getAll("events");
  if (!events.length) throw new Error("Say what it is to be told of.");
  return { url: form.elements.url.value.trim(), events };
}

// The secret, shown this once.
function showSecret({ secret }) {
  const fresh = document.getElementById("fresh");
  fresh.querySelector(".secret").textContent = secret;
  fresh.hidden = false;
  fresh.scrollIntoView({ block: "center" });
  fresh.querySelector("button").focus({ preventScroll: true });
}

const FORMS = {
  async create(form) {
    showSecret(await call("POST", "/api/webhooks", wantedOf(form)));
    form.reset();
    form.closest("details").open = false;
    await refresh("webhooks-made");
  },
  change: (form) => call("PATCH", place, wantedOf(form)).then(reload),
};

const BUTTONS = {
  enable: () => call("PATCH", place, { enabled: true }).then(reload),
  disable: () => call("PATCH", place, { enabled: false }).then(reload),
  redeliver: ({ delivery }) => call("POST", `${place}/deliveries/${delivery}/redeliver`).then(() => refresh("deliveries")),
  copy: () => navigator.clipboard.writeText(document.querySelector(".secret").textContent),
};

const DIALOGS = {
  async rotate(dialog) {
    showSecret(await call("POST", `${place}/rotate`, { overlap: Number(dialog.querySelector("select").value) }));
    await refresh("hook");
  },
  delete: () => call("DELETE", place).then(() => location.assign("/webhooks")),
};

// Async, so that what a form lacks fails like what the API refuses.
async function run(action, of) {
  failure.hidden = true;
  await action(of);
}

for (const form of document.querySelectorAll("form[data-does]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(FORMS[form.dataset.does], form).catch(fail);
  });
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-does], button[data-opens]");
  if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  else if (button) run(BUTTONS[button.dataset.does], button.dataset).catch(fail);
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === dialog.id) run(DIALOGS[dialog.id], dialog).catch(fail);
  });
}
