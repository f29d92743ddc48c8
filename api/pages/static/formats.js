// Figures as people read them: their units, their language's decimal mark, thin spaces.

const imperial = document.documentElement.dataset.units === "imperial";
const MISSING = "–";
const writers = []; // of numbers, by their decimals

// A number with so many decimals.
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return MISSING;
  writers[digits] ??= new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const parts = writers[digits].formatToParts(value);
  return parts.map((part) => (part.type === "group" ? "\u2009" : part.value)).join("").replace("-", "−");
}

// 1:02:03, 2:03.
export function duration(seconds) {
  const whole = Math.round(seconds);
  const pad = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

// "5 s", "20 min", "1 h".
export function effort(seconds) {
  if (seconds < 60) return `${seconds}\u2009s`;
  if (seconds < 3600) return `${number(seconds / 60, seconds % 60 ? 1 : 0)}\u2009min`;
  return `${number(seconds / 3600, seconds % 3600 ? 1 : 0)}\u2009h`;
}

const unit = (name, size, digits) => ({ name, size, digits });

// How each channel is shown: what a unit of it is worth in the API's.
export const UNITS = {
  power: unit("W", 1, 0),
  heartrate: unit("bpm", 1, 0),
  cadence: unit("rpm", 1, 0),
  speed: imperial ? unit("mph", 0.44704, 1) : unit("km/h", 1 / 3.6, 1),
  altitude: imperial ? unit("ft", 0.3048, 0) : unit("m", 1, 0),
  temperature: imperial ? unit("°F", 1, 0) : unit("°C", 1, 0),
  distance: imperial ? unit("mi", 1609.344, 2) : unit("km", 1000, 2),
  energy: unit("kJ", 1, 0),
  wPrime: unit("kJ", 1, 1),
};

// A channel's value in the reader's unit.
export function scaled(channel, value) {
  if (channel === "temperature" && imperial) return value * 1.8 + 32;
  return value / UNITS[channel].size;
}

export const shown = (channel, value) => (value === null || value === undefined ? MISSING : number(scaled(channel, value), UNITS[channel].digits));
