// Dates and times in the browser's language and the rider's time zone.

const riderZone = document.documentElement.dataset.zone;
export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = riderZone || browserZone;

const DAY = 86_400_000;
const format = (options) => new Intl.DateTimeFormat(undefined, { timeZone: zone, ...options });
const clock = format({ hour: "numeric", minute: "2-digit" });
const exactClock = format({ hour: "numeric", minute: "2-digit", second: "2-digit" });
const weekday = format({ weekday: "long" });
const shortDate = format({ day: "numeric", month: "short" });
const longDate = format({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const dateWithYear = format({ day: "numeric", month: "short", year: "numeric" });
const calendarDay = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" });
const dated = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });
const monthOf = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", month: "long", year: "numeric" });
const dayOf = new Intl.DateTimeFormat("en-CA", { timeZone: zone });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

// "14:05"; with `exact`, to the second.
export const timeOfDay = (moment, exact = false) => (exact ? exactClock : clock).format(moment);

// "today", "yesterday", "Tuesday" within a week; else "3 May", with the year if it is another one.
export function shortDay(moment, now = new Date()) {
  const days = Math.round((Date.parse(dayOf.format(moment)) - Date.parse(dayOf.format(now))) / DAY);
  if (days === 0 || days === -1) return relative.format(days, "day");
  if (days < 0 && days > -7) return weekday.format(moment);
  const sameYear = dayOf.format(moment).slice(0, 4) === dayOf.format(now).slice(0, 4);
  return (sameYear ? shortDate : dateWithYear).format(moment);
}

const WRITERS = {
  day: (moment) => shortDay(moment),
  month: (moment) => monthOf.format(moment),
  dated: (moment) => dated.format(moment),
  calendar: (moment) => calendarDay.format(moment),
  date: (moment) => longDate.format(moment),
  full: (moment) => `${longDate.format(moment)}, ${clock.format(moment)}${zoneNote(moment)}`,
};

// The zone's name where a rider's clock is not the browser's; and for who looks at another's ride,
// as nobody else says whose clock that is.
function zoneNote(moment) {
  const at = (timeZone) => new Intl.DateTimeFormat("en", { timeZone, dateStyle: "short", timeStyle: "short" }).format(moment);
  return riderZone && at(zone) === at(browserZone) ? "" : ` (${zone.split("/").pop().replaceAll("_", " ")})`;
}

// Every <time data-as="day|date|full|dated|calendar|month"> below an element.
export function writeTimes(root) {
  for (const element of root.querySelectorAll("time[data-as]")) {
    const moment = new Date(element.dateTime);
    element.textContent = WRITERS[element.dataset.as](moment);
    if (!["dated", "calendar", "month"].includes(element.dataset.as)) element.title = WRITERS.full(moment);
  }
}

// Every [data-clock] as a time of day, every [data-moment] as a date and time; both hold ms.
export function exactTimes(root) {
  for (const element of root.querySelectorAll("[data-clock]")) element.textContent = timeOfDay(Number(element.dataset.clock), true);
  for (const element of root.querySelectorAll("[data-moment]")) element.textContent = WRITERS.full(new Date(Number(element.dataset.moment)));
}
