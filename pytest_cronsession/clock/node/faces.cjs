'use strict';
/** The virtual clock, and what Node programs read time from. */

/**
 * One line of time in milliseconds, `elapsed`, that never goes back; the wall clock is a whole number of
 * milliseconds beside it. It either stands (and is moved) or runs with real time.
 */
class Clock {
  constructor(real, start, frozen) {
    this.real = real;
    const match = /^real(?:\+?(-?\d+))?$/.exec(start);
    this.shift = match ? real.Date.now() + Number(match[1] || 0) : Number(start);
    if (!Number.isSafeInteger(this.shift)) throw new Error(`CRONSESSION_CLOCK_START_MS: ${start} is no instant`);
    this.frozen = frozen; // the mode; `standing` is also true while a command moves a running clock
    this.standing = frozen;
    this.mark = 0;
    this.base = real.now();
  }

  elapsed() {
    return this.standing ? this.mark : this.mark + (this.real.now() - this.base);
  }

  wall() {
    return Math.floor(this.elapsed()) + this.shift;
  }

  stand() {
    this.mark = this.elapsed();
    this.standing = true;
  }

  /** On with real time, from where it stands. */
  run() {
    if (!this.standing) return;
    this.base = this.real.now();
    this.standing = false;
  }

  /** Move a standing clock; the past is ignored. */
  moveTo(elapsed) {
    if (elapsed > this.mark) this.mark = elapsed;
  }

  /** What a process started now has to start from. */
  startText() {
    if (this.frozen) return String(this.wall());
    return `real+${this.wall() - this.real.Date.now()}`;
  }
}

function installFaces(real, clock) {
  globalThis.Date = virtualDate(real.Date, clock);

  const hrStart = real.hrtime();
  const nanoseconds = () => hrStart + BigInt(Math.round(clock.elapsed() * 1e6));
  const hrtime = process.hrtime;
  process.hrtime = function (previous) {
    if (previous !== undefined) hrtime(previous); // throws what Node throws for a wrong argument
    const now = nanoseconds();
    const parts = [Number(now / 1000000000n), Number(now % 1000000000n)];
    if (previous === undefined) return parts;
    parts[0] -= previous[0];
    parts[1] -= previous[1];
    if (parts[1] < 0) {
      parts[0] -= 1;
      parts[1] += 1e9;
    }
    return parts;
  };
  process.hrtime.bigint = nanoseconds;
  const upStart = real.uptime();
  process.uptime = () => upStart + clock.elapsed() / 1000;

  const began = real.now(); // how long Node has taken up to here
  const origin = clock.shift - began;
  const set = (name, descriptor) =>
    Object.defineProperty(performance, name, { configurable: true, enumerable: true, ...descriptor });
  set('now', { value: () => began + clock.elapsed(), writable: true });
  set('timeOrigin', { get: () => origin });

  installFormat(clock);
}

function virtualDate(RealDate, clock) {
  function Date(...parts) {
    if (new.target === undefined) return new RealDate(clock.wall()).toString();
    if (parts.length === 0) parts.push(clock.wall());
    return new.target === Date ? new RealDate(...parts) : Reflect.construct(RealDate, parts, new.target);
  }
  // The prototype is Node's own: dates made anywhere are instances, and have the methods.
  Object.defineProperty(Date, 'prototype', { value: RealDate.prototype, writable: false, enumerable: false });
  Object.defineProperty(Date, 'length', { value: 7, configurable: true });
  const method = (name, value) =>
    Object.defineProperty(Date, name, { value, writable: true, configurable: true, enumerable: false });
  method('parse', RealDate.parse);
  method('UTC', RealDate.UTC);
  method('now', () => clock.wall());
  Object.defineProperty(RealDate.prototype, 'constructor', {
    value: Date,
    writable: true,
    configurable: true,
    enumerable: false,
  });
  return Date;
}

/** Intl formats the present instant when it is given none. */
function installFormat(clock) {
  const prototype = Intl.DateTimeFormat.prototype;
  const { get } = Object.getOwnPropertyDescriptor(prototype, 'format');
  const bound = new WeakMap();
  Object.defineProperty(prototype, 'format', {
    configurable: true,
    enumerable: false,
    get() {
      const format = get.call(this);
      if (!bound.has(format)) bound.set(format, (date) => format(date === undefined ? clock.wall() : date));
      return bound.get(format);
    },
  });
  const parts = prototype.formatToParts;
  Object.defineProperty(prototype, 'formatToParts', {
    configurable: true,
    enumerable: false,
    writable: true,
    value: function formatToParts(date) {
      return parts.call(this, date === undefined ? clock.wall() : date);
    },
  });
}

module.exports = { Clock, installFaces };
