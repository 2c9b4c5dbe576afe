'use strict';
/** Timers that fire when the virtual clock gets there. */
const { AsyncResource } = require('node:async_hooks');
const { promisify } = require('node:util');
const { Heap } = require('./heap.cjs');

const LONGEST = 2 ** 31 - 1; // more than this Node takes for 1, with a warning
const FIRST_ID = 2 ** 40; // beyond the ids of Node's own timers
const state = Symbol('cronsession');
let keeper; // the Timers that the Timeout objects of this process belong to

/** What setTimeout and setInterval return; the public face is that of Node's class of the same name. */
class Timeout {
  constructor(callback, delay, args, repeats) {
    this._idleTimeout = delay;
    this._onTimeout = callback;
    this._timerArgs = args;
    this._repeat = repeats ? delay : null;
    this._destroyed = false;
    // Not enumerable: it would drown the rest when somebody prints a timer.
    Object.defineProperty(this, state, {
      value: { due: 0, order: 0, at: -1, refed: true, id: 0, scope: new AsyncResource('Timeout') },
    });
  }

  ref() {
    return keeper.setRef(this, true);
  }

  unref() {
    return keeper.setRef(this, false);
  }

  hasRef() {
    return this[state].refed;
  }

  refresh() {
    if (this._onTimeout !== null) keeper.start(this);
    return this;
  }

  close() {
    keeper.clear(this);
    return this;
  }

  [Symbol.toPrimitive]() {
    return keeper.idOf(this);
  }
}
if (Symbol.dispose) {
  Timeout.prototype[Symbol.dispose] = function () {
    keeper.clear(this);
  };
}

class Timers {
  constructor(real, clock, realBelow) {
    this.real = real;
    this.clock = clock;
    this.realBelow = realBelow;
    this.heap = new Heap((timer) => timer[state]);
    this.ids = new Map();
    this.order = 0;
    this.refs = 0;
    // Virtual timers are nothing to the event loop: this one keeps the process alive for those that should.
    this.hold = real.setInterval(() => {}, LONGEST).unref();
    this.wake = null;
    this.wakeDue = 0;
    keeper = this;
  }

  // --- the life of a timer ---------------------------------------------------------------------------

  start(timer) {
    const own = timer[state];
    if (own.at >= 0) this.stop(timer);
    timer._destroyed = false;
    own.due = Math.floor(this.clock.elapsed()) + Math.trunc(timer._idleTimeout);
    own.order = this.order++;
    this.heap.push(timer);
    if (own.refed) this.count(1);
    this.rearm();
  }

  stop(timer) {
    this.heap.remove(timer);
    if (timer[state].refed) this.count(-1);
  }

  clear(timer) {
    if (timer[state].at >= 0) this.stop(timer);
    if (timer[state].id) this.ids.delete(timer[state].id);
    timer._destroyed = true;
    timer._onTimeout = null;
    this.rearm();
  }

  count(change) {
    const before = this.refs;
    this.refs += change;
    if (before === 0) this.hold.ref();
    else if (this.refs === 0) this.hold.unref();
  }

  setRef(timer, refed) {
    const own = timer[state];
    if (own.refed !== refed) {
      own.refed = refed;
      if (own.at >= 0) this.count(refed ? 1 : -1);
    }
    return timer;
  }

  idOf(timer) {
    const own = timer[state];
    if (!own.id) {
      own.id = FIRST_ID + this.order++;
      if (!timer._destroyed) this.ids.set(own.id, timer);
    }
    return own.id;
  }

  /** Elapsed milliseconds of the earliest timer, or null. */
  next() {
    const first = this.heap.peek();
    return first ? first[state].due : null;
  }

  pending() {
    return this.heap.items.map((timer) => timer[state].due).sort((a, b) => a - b);
  }

  /** Every timer due by now, in order. */
  allDue() {
    return this.heap.items
      .filter((timer) => this.isDue(timer))
      .sort((a, b) => a[state].due - b[state].due || a[state].order - b[state].order);
  }

  isDue(timer) {
    return timer[state].at >= 0 && timer[state].due <= this.clock.elapsed();
  }

  /** Run one callback; what it throws is the program's to handle. */
  fire(timer) {
    this.stop(timer);
    const callback = timer._onTimeout;
    try {
      timer[state].scope.runInAsyncScope(callback, timer, ...timer._timerArgs);
    } finally {
      if (timer._onTimeout !== null && timer[state].at < 0) {
        if (timer._repeat !== null) this.start(timer);
        else {
          timer._destroyed = true;
          if (timer[state].id) this.ids.delete(timer[state].id);
        }
      }
    }
  }

  /** Fire the first timer if it is due; false: none was. */
  fireFirst() {
    const first = this.heap.peek();
    if (!first || !this.isDue(first)) return false;
    this.fire(first);
    return true;
  }

  // --- a running clock -------------------------------------------------------------------------------

  /** Wake at the earliest timer, when time runs; to be called when that or the clock has changed. */
  rearm() {
    const due = this.clock.standing ? null : this.next();
    if (this.wake && due === this.wakeDue) return;
    if (this.wake) this.real.clearTimeout(this.wake);
    this.wake = null;
    if (due === null) return;
    const wait = Math.min(LONGEST, Math.max(1, Math.ceil(due - this.clock.elapsed())));
    this.wakeDue = due;
    this.wake = this.real.setTimeout(() => this.onWake(), wait).unref();
  }

  onWake() {
    this.wake = null;
    if (this.clock.standing) return;
    const due = this.next();
    if (due === null || due > this.clock.elapsed()) return this.rearm();
    // Each in a turn of its own, as Node does it; asked for first, since the callback may throw.
    this.real.setImmediate(() => this.onWake());
    this.fireFirst();
  }

  // --- what programs call ----------------------------------------------------------------------------

  delay(value) {
    const delay = value * 1;
    return delay >= 1 && delay <= LONGEST ? delay : 1;
  }

  isReal(value) {
    return this.delay(value) < this.realBelow;
  }

  make(callback, value, args, repeats) {
    const delay = this.delay(value);
    if (value * 1 > LONGEST) {
      const text = `${value * 1} does not fit into a 32-bit signed integer.\nTimeout duration was set to 1.`;
      process.emitWarning(text, 'TimeoutOverflowWarning');
    }
    const timer = new Timeout(callback, delay, args, repeats);
    this.start(timer);
    return timer;
  }

  install() {
    const { real } = this;
    const setTimeout = (callback, delay, ...args) =>
      typeof callback !== 'function' || this.isReal(delay)
        ? real.setTimeout(callback, delay, ...args)
        : this.make(callback, delay, args, false);
    const setInterval = (callback, delay, ...args) =>
      typeof callback !== 'function' || this.isReal(delay)
        ? real.setInterval(callback, delay, ...args)
        : this.make(callback, delay, args, true);
    const clear = (timer) => {
      const isId = typeof timer === 'number' || typeof timer === 'string';
      const found = timer instanceof Timeout ? timer : isId && this.ids.get(Number(timer));
      if (found) this.clear(found);
      else real.clearTimeout(timer);
    };
    const faces = { setTimeout, setInterval, clearTimeout: (t) => clear(t), clearInterval: (t) => clear(t) };
    for (const [name, face] of Object.entries(faces)) Object.defineProperty(face, 'name', { value: name });
    Object.assign(globalThis, faces);
    Object.assign(require('node:timers'), faces);
    const promises = require('./promises.cjs').install(this, faces);
    Object.defineProperty(setTimeout, promisify.custom, { enumerable: true, get: () => promises.setTimeout });
  }
}

module.exports = { Timers };
