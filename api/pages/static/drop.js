// Files dropped on a page: two are sent at a time, each with its progress and what became of it.

import { get, sentence } from "./api.js";
import { figure, make } from "./dom.js";
import { UNITS, duration, number, shown } from "./formats.js";
import { refresh, shortDay } from "./times.js";
import { upload } from "./upload.js";

const AT_ONCE = 2;

function start(zone) {
  const list = zone.querySelector("[data-drop-list]");
  const input = zone.querySelector("input");
  const queue = new Queue(zone.querySelector("[data-drop-status]"));
  const take = (files) => {
    const isOne = files.length === 1;
    for (const file of files) queue.add(new Row(list, file, isOne));
  };
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const over = (isOver) => zone.classList.toggle("drop-over", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) over(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take([...event.dataTransfer.files]);
  });
}

// Sends rows in order, a few at a time.
class Queue {
  constructor(status) {
    this.status = status;
    this.waiting = [];
    this.running = 0;
    this.done = 0;
  }

  add(row) {
    row.again = (onDuplicate) => this.#enter(row, onDuplicate);
    this.#enter(row, "reject");
  }

  #enter(row, onDuplicate) {
    this.waiting.push([row, onDuplicate]);
    this.#next();
  }

  async #next() {
    if (this.running >= AT_ONCE || !this.waiting.length) return;
    const [row, onDuplicate] = this.waiting.shift();
    this.running += 1;
    await row.send(onDuplicate);
    this.running -= 1;
    this.done += 1;
    this.status.textContent = `${this.done} of ${this.done + this.running + this.waiting.length} files are done.`;
    if (!this.running && !this.waiting.length && document.getElementById("sent")) refresh("sent");
    this.#next();
  }
}

// A file in the list.
class Row {
  constructor(list, file, opens) {
    this.file = file;
    this.opens = opens;
    this.progress = make("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    this.result = make("span", { class: "drop-result" }, this.progress);
    list.prepend(make("li", {}, make("span", { class: "drop-name" }, file.name), figure(number(file.size / 1024), "kB"), this.result));
  }

  async send(onDuplicate) {
    this.result.replaceChildren(this.progress);
    try {
      const sent = await upload(this.file, onDuplicate, (share) => this.#tell(share));
      if (sent.status === "duplicate") this.#duplicate(sent.reason, sent.duplicateOf);
      else if (sent.status === "failed") this.#fail(sent.reason ?? "It could not be read.", false);
      else await this.#made(sent);
    } catch (error) {
      const { duplicateOf } = error.problem ?? {};
      if (duplicateOf) this.#duplicate(error.problem.upload?.reason ?? "This very file was sent before", duplicateOf);
      else this.#fail(error.message, mayPass(error));
    }
  }

  #tell(share) {
    if (share === null) this.progress.removeAttribute("value");
    else this.progress.value = share;
  }

  async #made({ workoutIds, members }) {
    if (members) return this.#show("good", summaryOf(members), ...workoutIds.slice(0, 5).map(link));
    if (this.opens && workoutIds.length === 1) location.assign(`/rides/${workoutIds[0]}`);
    const rides = await Promise.all(workoutIds.slice(0, 5).map((id) => get(`/api/workouts/${id}`)));
    this.#show("good", ...rides.map(({ workout }) => about(workout)));
  }

  #duplicate(why, id) {
    const choose = (text, onDuplicate) => {
      const button = make("button", { class: "button small" }, text);
      button.addEventListener("click", () => this.again(onDuplicate));
      return button;
    };
    this.#show("quiet", `Here already. ${why ? sentence(why) : ""} `, link(id), choose("Keep both", "keep"), choose("Merge", "merge"), choose("Replace", "replace"));
  }

  #fail(reason, mayPass) {
    if (!mayPass) return this.#show("bad", sentence(reason));
    const button = make("button", { class: "button small" }, "Try again");
    button.addEventListener("click", () => this.again("reject"));
    this.#show("bad", sentence(reason), button);
  }

  #show(kind, ...parts) {
    this.result.replaceChildren(make("span", { class: `drop-${kind}` }, ...parts));
  }
}

// Whether the same file may do better later: what cannot be read or is too large never does.
const mayPass = ({ status }) => status === 0 || status === 429 || status >= 500;

const link = (id) => make("a", { href: `/rides/${id}` }, "See the ride");

const summaryOf = (members) => `Unpacked: ${Object.entries(members).map(([status, count]) => `${count} ${status}`).join(", ")}. `;

// "Morning ride, yesterday, 1:23:45, 42.1 km"
function about(workout) {
  const { duration: seconds, totalDistance } = workout.summary ?? {};
  const facts = [shortDay(new Date(workout.startTime)), seconds && duration(seconds), totalDistance && `${shown("distance", totalDistance)}\u2009${UNITS.distance.name}`];
  return make("span", {}, make("a", { href: `/rides/${workout.id}` }, workout.title ?? "The ride"), ` ${facts.filter(Boolean).join(", ")} `);
}

for (const zone of document.querySelectorAll("[data-drop]")) start(zone);
