'use strict';
/** Whether real work is under way in this process, and waiting until none is. */
const diagnostics = require('node:diagnostics_channel');
const { followPool } = require('./pool.cjs');

// Requests that end by themselves, by the names that process.getActiveResourcesInfo() gives them. CloseReq matters:
// without it a file counts as written before it is closed.
const BUSY = /^(FSReq|CloseReq|FileHandleCloseReq|GetAddrInfo|GetNameInfo|QueryReq|ConnectWrap|.*Write|.*Shutdown|SendWrap)/;
const NETWORK = /^(GetAddrInfo|GetNameInfo|QueryReq|ConnectWrap)/;
const QUIET_TURNS = 3;
const SPIN_TURNS = 100; // then sleep between looks, and leave the processor to those who work
const TURNS_PER_PAUSE = 30; // after so many looks, a millisecond more between them
const LONGEST_PAUSE_MS = 15;
const NETWORK_MS = 3000; // a name or a host that does not answer is not waited for again and again
const NEWCOMER_MS = { process: 2000, thread: 10000 }; // nor is a child that neither ends nor connects
const WORK_MS = 10000; // nor work in the thread pool whose end nobody reported
const GRACE_MS = 100; // an open request that the controller does not count as work is idle after this

class Quiet {
  constructor(real) {
    this.real = real;
    this.ask = async () => true; // is the controller content? replaced by the control connection
    this.requests = new Map(); // open outgoing HTTP requests -> known to be idle
    this.newcomers = new Map(); // key -> {what, until}: children that have not connected yet
    this.work = new Map(); // thread-pool work that Node does not list -> {what, until}
    this.tolerated = new Map(); // kind -> how many of it are no longer waited for
    this.changed = real.now();
    this.sent = 0; // messages and bytes written to other threads and processes, pieces of them
  }

  install() {
    this.followMessages();
    this.followRequests();
    followPool((what) => {
      const token = {};
      this.work.set(token, { what, until: this.real.now() + WORK_MS });
      return () => this.work.delete(token);
    });
  }

  /** Kind -> count of everything under way, tolerated or not. */
  counts(resources = process.getActiveResourcesInfo()) {
    const counts = new Map();
    const add = (kind) => counts.set(kind, (counts.get(kind) || 0) + 1);
    for (const name of resources) if (BUSY.test(name)) add(name);
    if (this.newcomers.size || this.work.size) {
      const now = this.real.now();
      for (const entries of [this.newcomers, this.work]) {
        for (const [key, { what, until }] of entries) {
          if (now > until) entries.delete(key);
          else add(what);
        }
      }
    }
    return counts;
  }

  /** The counts that have to be waited for. Tolerance ends with what it was given to. */
  busy(counts) {
    if (this.tolerated.size === 0) return counts;
    const busy = new Map(counts);
    for (const [kind, number] of this.tolerated) {
      const there = counts.get(kind) || 0;
      if (there < number) this.tolerated.set(kind, there);
      if (there > number) busy.set(kind, there - number);
      else busy.delete(kind);
    }
    return busy;
  }

  /** What is under way, for people: ["FSReqCallback x2", "open HTTP request x1"]. */
  describe(counts = this.counts()) {
    const texts = [...counts].map(([kind, number]) => `${kind} x${number}`);
    if (this.requests.size) texts.push(`open HTTP request x${this.requests.size}`);
    return texts;
  }

  /** A turn of the event loop: immediate at first, later after real milliseconds, of which there are more and more. */
  turn(number) {
    const { setImmediate, setTimeout } = this.real;
    const pause = Math.min(LONGEST_PAUSE_MS, 1 + Math.floor((number - SPIN_TURNS) / TURNS_PER_PAUSE));
    return new Promise((resolve) => {
      if (number < SPIN_TURNS) setImmediate(resolve);
      else setTimeout(() => setImmediate(resolve), pause);
    });
  }

  /**
   * Wait until nothing is under way. `until` is real.now() at which this throws; what lasts longer than
   * `patience` (real ms, if given) is tolerated. With `asking`, the controller has to be content as well.
   */
  async settle({ until, patience, asking }) {
    const began = this.real.now();
    let quietTurns = 0;
    let asked = false;
    for (let number = 0; ; number += 1) {
      await this.turn(number);
      const resources = process.getActiveResourcesInfo();
      const busy = this.busy(this.counts(resources));
      quietTurns = busy.size ? 0 : quietTurns + 1;
      if (quietTurns >= QUIET_TURNS) {
        const online = this.requests.size > 0 || resources.includes('TCPSocketWrap');
        if (!asking || !online || (await this.controllerIsContent())) return;
        asked = true;
        quietTurns = 0;
        number = Math.max(number, SPIN_TURNS);
      }
      const now = this.real.now();
      if (now - began > NETWORK_MS && [...busy.keys()].every((kind) => NETWORK.test(kind))) this.tolerate(busy);
      if (patience !== undefined && now - began > patience) this.tolerate(busy);
      if (now > until && (busy.size || asked))
        throw Object.assign(new Error('never became quiet'), { busy: this.describe(busy) });
    }
  }

  tolerate(busy) {
    for (const [kind, number] of busy) this.tolerated.set(kind, (this.tolerated.get(kind) || 0) + number);
  }

  /** The controller knows of no work, and requests that are open all the same have had their grace. */
  async controllerIsContent() {
    if (!(await this.ask())) {
      this.changed = this.real.now();
      return false;
    }
    const open = [...this.requests.values()].some((idle) => !idle);
    if (open && this.real.now() - this.changed < GRACE_MS) return false;
    for (const request of this.requests.keys()) this.requests.set(request, true);
    return true;
  }

  /** What was idle may have been answered meanwhile: look again. */
  wakeRequests() {
    for (const request of this.requests.keys()) this.requests.set(request, false);
    this.changed = this.real.now();
  }

  // --- what Node does not list -----------------------------------------------------------------------

  followRequests() {
    const open = (request) => {
      this.requests.set(request, false);
      this.changed = this.real.now();
    };
    const close = (request) => {
      if (this.requests.delete(request)) this.changed = this.real.now();
    };
    diagnostics.subscribe('http.client.request.start', ({ request }) => {
      open(request);
      request.once('close', () => close(request));
    });
    diagnostics.subscribe('undici:request:create', ({ request }) => open(request));
    diagnostics.subscribe('undici:request:trailers', ({ request }) => close(request));
    diagnostics.subscribe('undici:request:error', ({ request }) => close(request));
    diagnostics.subscribe('undici:request:headers', ({ request, response }) => {
      if (response.statusCode === 101) close(request); // a WebSocket from here on
    });
  }

  /** What goes to a thread or process with a clock of its own gives it something to do. */
  followMessages() {
    this.counting(require('node:worker_threads').MessagePort.prototype, 'postMessage');
    this.counting(require('node:net').Socket.prototype, '_writeGeneric');
    if (process.send) this.counting(process, 'send');
  }

  counting(object, name) {
    const quiet = this;
    const original = object[name];
    object[name] = function (...args) {
      quiet.sent += 1;
      return original.apply(this, args);
    };
  }

  newcomer(key, kind) {
    this.newcomers.set(key, { what: `new child ${kind}`, until: this.real.now() + NEWCOMER_MS[kind] });
  }

  joined(key) {
    this.newcomers.delete(key);
  }
}

module.exports = { Quiet };
