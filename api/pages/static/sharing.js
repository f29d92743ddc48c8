// The links of a ride: make one, copy it, revoke it.

import { call, get } from "./api.js";
import { make } from "./dom.js";
import { dayWithYear, shortDay } from "./times.js";

const DAY = 86_400_000;
const OF_THIS_MACHINE = /^https?:\/\/(127\.|localhost|\[::1\])/;

// As others reach it: where the server was not told its public address, as this page was reached.
const addressOf = ({ url, token }) => (OF_THIS_MACHINE.test(url) ? `${location.origin}/shared/${token}` : url);

// What the form asks for.
function wanted(form) {
  const { days, metres } = Object.fromEntries(new FormData(form));
  return {
    expiresAt: new Date(Date.now() + Number(days) * DAY).toISOString(),
    hideMetres: form.elements.hides.checked ? Number(metres) : 0,
    hidePlaces: form.elements.places.checked,
    withDescription: form.elements.notes?.checked ?? false,
  };
}

export function startSharing(ride) {
  const dialog = document.getElementById("share");
  if (!dialog) return;
  const form = dialog.querySelector("form");
  const failure = dialog.querySelector(".failed");
  const fresh = dialog.querySelector(".fresh");
  const list = dialog.querySelector(".links");

  const attempt = (action) => async (event) => {
    event?.preventDefault();
    failure.hidden = true;
    try {
      await action();
    } catch (error) {
      failure.textContent = error.message;
      failure.hidden = false;
    }
  };

  const show = attempt(async () => {
    const { shares } = await get("/api/shares");
    const own = shares.filter(({ workoutId }) => workoutId === ride.dataset.id);
    dialog.querySelector(".links-part").hidden = !own.length;
    list.replaceChildren(...own.map(line));
  });

  function line(share) {
    const revoke = make("button", { class: "as-link link bad", type: "button" }, "Revoke", make("span", { class: "visually-hidden" }, ` the link made ${shortDay(new Date(share.createdAt))}`));
    revoke.addEventListener("click", attempt(async () => {
      await call("DELETE", `/api/shares/${share.id}`);
      fresh.hidden = true;
      await show();
    }));
    return make("li", {}, make("span", {}, `Made ${shortDay(new Date(share.createdAt))}, until ${dayWithYear(new Date(share.expiresAt))}`), make("span", { class: "hint" }, said(share)), revoke);
  }

  form.addEventListener("submit", attempt(async () => {
    const made = await call("POST", `/api/workouts/${ride.dataset.id}/share`, wanted(form));
    fresh.querySelector("input").value = addressOf(made);
    fresh.querySelector("a[download]").href = `/api/shared/${made.token}/card.svg`;
    fresh.querySelector("a[target]").href = `/shared/${made.token}`;
    fresh.querySelector("[role=status]").textContent = "The link is ready, and is shown this once. Whoever has it sees the ride.";
    fresh.hidden = false;
    fresh.querySelector("button").focus();
    await show();
  }));
  fresh.querySelector("button").addEventListener("click", async () => {
    const field = fresh.querySelector("input");
    field.select(); // a browser lets pages copy by themselves only by TLS, or on this machine
    await navigator.clipboard?.writeText(field.value).catch(() => {});
    fresh.querySelector("[role=status]").textContent = navigator.clipboard ? "Copied." : "Copy it with your keyboard.";
  });
  form.elements.hides.addEventListener("change", ({ target }) => (form.elements.metres.disabled = !target.checked));
  document.querySelector('[data-opens="share"]').addEventListener("click", show);
  dialog.querySelector("[data-closes]").addEventListener("click", () => dialog.close());
}

const said = ({ hideMetres, hidePlaces }) => {
  const hidden = [hideMetres && `${hideMetres}\u2009m at both ends`, hidePlaces && "your places"].filter(Boolean);
  return hidden.length ? `hides ${hidden.join(" and ")}` : "hides nothing";
};
