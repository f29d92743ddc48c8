// What every page does: dates as the browser's region writes them, menus that close, keys.
import { startKeys } from "./keyboard.js";
import { writeTimes } from "./times.js";

writeTimes(document);
startKeys();

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
