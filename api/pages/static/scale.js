// From values to pixels, and the round numbers that an axis is labelled with.

// A few round numbers between two values.
export function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at += 1) found.push(at * step || 0);
  return found;
}

// Three to five of them, as an axis of values has.
export function axisTicks(low, high) {
  const found = [3, 4, 5, 6].map((most) => ticks(low, high, most));
  return found.find(({ length }) => length >= 3 && length <= 5) ?? found[0];
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

// Round times of a ride, in seconds from its start.
export function timeTicks(low, high, most) {
  const step = TIME_STEPS.find((each) => (high - low) / each <= most) ?? 86400 * Math.ceil((high - low) / most / 86400);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
  return found;
}

// The lowest and the highest number, without null and NaN; null if there is none.
export function extent(...columns) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (value === null || Number.isNaN(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

// The place of a number in a sorted column: the last that is not above it.
export function search(column, wanted) {
  let low = 0;
  let high = column.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (column[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}
