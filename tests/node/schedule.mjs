// When a schedule is due: a pure function of the schedule and of an instant. What cannot be read is refused.

const MINUTE = 60_000, DAY = 24 * 60 * MINUTE;
const HORIZON = 8 * 366 * DAY; // leap days are at most eight years apart
const FIELDS = [
  { label: 'minute', low: 0, high: 59 },
  { label: 'hour', low: 0, high: 23 },
  { label: 'day-of-month', low: 1, high: 31 },
  { label: 'month', low: 1, high: 12, names: 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ') },
  { label: 'day-of-week', low: 0, high: 7, names: 'SUN MON TUE WED THU FRI SAT'.split(' ') },
];
const PART = /^(?:(?:\*|(\d+|[a-z]+)-(\d+|[a-z]+))(?:\/(\d+))?|(\d+|[a-z]+))$/i;

/** Ends a write: its answer is `rejected`. */
export function refuse(field, reason) {
  throw Object.assign(new Error(reason), { rejected: { field, reason } });
}

/** The first slot strictly after an instant, or null. An interval without an anchor counts from `storedAtMs`. */
export function slotAfter({ kind, atMs, everyMs, anchorMs, expr, tz = 'UTC' }, storedAtMs, after) {
  if (kind === 'cron') return nextMatch(parseCron(expr), wallClock(tz), after);
  if (kind === 'at') return atMs > after ? atMs : null;
  const anchor = anchorMs ?? storedAtMs;
  return anchor + Math.max(0, Math.floor((after - anchor) / everyMs) + 1) * everyMs;
}

function parseCron(expr) {
  const texts = expr.trim().split(/\s+/);
  if (texts.length !== FIELDS.length) refuse('schedule.expr', `"${expr}" has not five fields`);
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, i) => parseField(field, texts[i]));
  const either = texts[2] !== '*' && texts[4] !== '*';
  const onDay = (date) => {
    const byDay = days.has(date.getUTCDate()), byWeekday = weekdays.has(date.getUTCDay());
    return months.has(date.getUTCMonth() + 1) && (either ? byDay || byWeekday : byDay && byWeekday);
  };
  const matches = (date) => minutes.has(date.getUTCMinutes()) && hours.has(date.getUTCHours()) && onDay(date);
  return { onDay, matches };
}

function parseField({ label, low, high, names = [] }, text) {
  const value = (word) => (/\d/.test(word) ? Number(word) : low + names.indexOf(word.toUpperCase()));
  const values = new Set();
  for (const part of text.split(',')) {
    const [sound, from = `${low}`, to = `${high}`, step = '1', single] = PART.exec(part) ?? [];
    const first = value(single ?? from), by = Number(step);
    const endsOnSunday = names[0] === 'SUN' && first > low && /^sun$/i.test(to); // there it is 7
    const last = single === undefined && endsOnSunday ? high : value(single ?? to);
    const inOrder = low <= first && first <= last && last <= high && by > 0;
    if (!sound || !inOrder) refuse('schedule.expr', `${label} "${text}" cannot be read`);
    for (let found = first; found <= last; found += by) values.add(label === 'day-of-week' ? found % 7 : found);
  }
  return values;
}

const clocks = new Map(); // making one takes long

/** From an instant to the wall time of a zone, told as the instant at which UTC shows it; whole minutes. */
function wallClock(timeZone) {
  const digits = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' };
  try {
    const make = () => new Intl.DateTimeFormat('en-US', { ...digits, hourCycle: 'h23', timeZone });
    const format = clocks.get(timeZone) ?? make();
    clocks.set(timeZone, format);
    return (ms) => Date.parse(`${format.format(ms)} UTC`);
  } catch {
    return refuse('schedule.tz', `there is no zone "${timeZone}"`);
  }
}

/** Walks along the wall: what occurs twice is met once, and what a gap skips has no instant (dst: ocps). */
function nextMatch({ onDay, matches }, wall, after) {
  const begin = wall(after) + MINUTE;
  for (let time = begin; time < begin + HORIZON; ) {
    const date = new Date(time);
    const slot = matches(date) ? firstInstant(time, wall) : null;
    if (slot > after) return slot;
    time += onDay(date) ? MINUTE : DAY - (time % DAY);
  }
  return null;
}

function firstInstant(time, wall) {
  // The offset of the day before comes first: where a time occurs twice it is the one of the first occurrence.
  const offsets = [time - DAY, time + DAY].map((near) => wall(near) - near);
  return offsets.map((offset) => time - offset).find((instant) => wall(instant) === time);
}
