// Dates and times as the browser's region writes them, in the rider's time zone.

const riderZone = document.documentElement.dataset.zone;
const { timeZone, hourCycle, locale } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
export const browserZone = timeZone;
export const zone = riderZone || browserZone;

// The pages are English, and so are the words of dates; their order is that of the browser's region.
const own = new Intl.Locale(locale);
const language = own.language === "en" ? own.toString() : `en-${own.maximize().region}`;

// A writer of dates, made when it is first asked: to make one takes longer than to write with it.
export function dates(options) {
  let made;
  return (moment) => (made ??= new Intl.DateTimeFormat(language, { hourCycle, ...options })).format(moment);
}

const DAY = 86_400_000;
const here = (options) => dates({ timeZone: zone, ...options });
const anywhere = (options) => dates({ timeZone: "UTC", ...options });
const clock = here({ hour: "numeric", minute: "2-digit" });
const exactClock = here({ hour: "numeric", minute: "2-digit", second: "2-digit" });
const weekday = here({ weekday: "long" });
const shortDate = here({ day: "numeric", month: "short" });
const longDate = here({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const calendarDay = anywhere({ weekday: "short", day: "numeric", month: "short" });
const monthOf = anywhere({ month: "long", year: "numeric" });
const isoDay = new Intl.DateTimeFormat("en-CA", { timeZone: zone });

// "3 May 2026", in the rider's zone; of a calendar's day.
export const dayWithYear = here({ day: "numeric", month: "short", year: "numeric" });
export const calendarDate = anywhere({ day: "numeric", month: "short", year: "numeric" });
export const calendarDayAndMonth = anywhere({ day: "numeric", month: "short" });
export const calendarMonth = anywhere({ month: "short" });

// "14:05"; with `exact`, to the second.
export const timeOfDay = (moment, exact = false) => (exact ? exactClock : clock)(moment);

// "today", "yesterday", "Tuesday" within a week; else "3 May", with the year if it is another one.
export function shortDay(moment, now = new Date()) {
  const [day, today] = [isoDay.format(moment), isoDay.format(now)];
  const days = Math.round((Date.parse(day) - Date.parse(today)) / DAY);
  if (days === 0) return "today";
  if (days === -1) return "yesterday";
  if (days < 0 && days > -7) return weekday(moment);
  return (day.slice(0, 4) === today.slice(0, 4) ? shortDate : dayWithYear)(moment);
}

const WRITERS = {
  day: (moment) => shortDay(moment),
  month: monthOf,
  dated: calendarDate,
  calendar: calendarDay,
  date: longDate,
  exact: (moment) => (isoDay.format(moment) === isoDay.format(new Date()) ? exactClock(moment) : `${shortDay(moment)}, ${exactClock(moment)}`),
  full: (moment) => `${longDate(moment)}, ${clock(moment)}${zoneNote(moment)}`,
};

// The zone's name where a rider's clock is not the browser's; and for who looks at another's ride,
// as nobody else says whose clock that is.
function zoneNote(moment) {
  const at = (timeZone) => new Intl.DateTimeFormat("en", { timeZone, dateStyle: "short", timeStyle: "short" }).format(moment);
  return riderZone && at(zone) === at(browserZone) ? "" : ` (${zone.split("/").pop().replaceAll("_", " ")})`;
}

// Every <time data-as="day|date|full|exact|dated|calendar|month"> below an element.
export function writeTimes(root) {
  for (const element of root.querySelectorAll("time[data-as]")) {
    const moment = new Date(element.dateTime);
    element.textContent = WRITERS[element.dataset.as](moment);
    if (!["dated", "calendar", "month"].includes(element.dataset.as)) element.title = WRITERS.full(moment);
  }
}

// Show a part of the page as the server has it now.
export async function refresh(id) {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
  if (!fresh) return;
  writeTimes(fresh);
  document.getElementById(id).replaceWith(fresh);
}

// Every [data-clock] as a time of day, every [data-moment] as a date and time; both hold ms.
export function exactTimes(root) {
  for (const element of root.querySelectorAll("[data-clock]")) element.textContent = timeOfDay(Number(element.dataset.clock), true);
  for (const element of root.querySelectorAll("[data-moment]")) element.textContent = WRITERS.full(new Date(Number(element.dataset.moment)));
}
