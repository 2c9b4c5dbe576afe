'use strict';
/**
 * The connection to the controller: newline-delimited JSON, one command at a time.
 *
 * In:  {id, do: now | timers | quiet | settle | set | advance | jump | mode | release, ...} -> {id, ok} or {id, error}
 *      {do: pause}           end the advance under way where it stands
 *      {do: joined, key}     a child or worker of ours has a connection of its own: no need to wait for it
 *      {do: answer, content} to our question
 * Out: {event: hello, token, pid, thread, role}, {event: ask}, {event: bye, code}
 */
const net = require('node:net');

class Control {
  constructor(real, clock, timers, quiet) {
    Object.assign(this, { real, clock, timers, quiet });
    this.queue = Promise.resolve();
    this.paused = false;
    this.answers = [];
    quiet.ask = () => this.ask();
  }

  connect({ path, hello }) {
    this.socket = net.connect(path).unref();
    this.socket.setEncoding('utf8');
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.alone());
    let rest = '';
    this.socket.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.take(JSON.parse(line));
    });
    this.send(hello);
    process.on('exit', (code) => this.send({ event: 'bye', code }));
  }

  send(message) {
    if (!this.socket.writable) return;
    const { sent } = this.quiet;
    this.socket.write(`${JSON.stringify(message)}\n`);
    this.quiet.sent = sent; // our own words are no work for anybody
  }

  /** Nobody moves the clock any more: go on with real time, so that the program can end by its own means. */
  alone() {
    this.paused = true;
    this.clock.frozen = false;
    this.clock.run();
    this.timers.rearm();
    for (const answer of this.answers.splice(0)) answer(true);
  }

  take(message) {
    if (message.do === 'pause') this.paused = true;
    else if (message.do === 'joined') this.quiet.joined(message.key);
    else if (message.do === 'answer') this.answers.shift()?.(message.content);
    else this.queue = this.queue.then(() => this.run(message));
  }

  async ask() {
    if (!this.socket.writable) return true;
    this.send({ event: 'ask' });
    return new Promise((resolve) => this.answers.push(resolve));
  }

  async run(message) {
    // A command under way keeps the process alive: it is owed an answer.
    this.socket.ref();
    try {
      const command = this.commands[message.do];
      if (!command) throw new Error(`no command ${JSON.stringify(message.do)}`);
      const ok = await command.call(this, message);
      this.send({ id: message.id, ok: { ...this.present(), ...ok } });
    } catch (error) {
      this.send({ id: message.id, error: error.message, busy: error.busy ?? [], ...this.present() });
    } finally {
      this.socket.unref();
    }
  }

  present() {
    const next = this.timers.next();
    return {
      nowMs: this.clock.wall(),
      nextTimerMs: next === null ? null : next + this.clock.shift,
      sent: this.quiet.sent,
      pendingIo: this.quiet.describe(),
    };
  }

  /** `limitMs` and `patienceMs` of a command as a bound for settling. */
  bound({ limitMs, patienceMs, waitFor }) {
    return { until: this.real.now() + limitMs, patience: patienceMs, asking: waitFor === 'controller' };
  }

  get commands() {
    return Control.COMMANDS;
  }
}

Control.COMMANDS = {
  now() {
    return { elapsedMs: this.clock.elapsed(), mode: this.clock.frozen ? 'frozen' : 'running' };
  },

  timers() {
    return { timers: this.timers.pending().map((due) => due + this.clock.shift) };
  },

  quiet() {
    return { quiet: this.quiet.describe().length === 0 };
  },

  /** Let real work end, while time stands. `fresh`: answers may have come that were not to be expected before. */
  async settle(message) {
    this.clock.stand();
    this.timers.rearm();
    if (message.fresh) this.quiet.wakeRequests();
    await this.quiet.settle(this.bound(message));
  },

  /** Move the time, and it stands: as far as `toMs`, but not beyond a timer. */
  set({ toMs }) {
    const due = this.timers.next() ?? Infinity;
    this.clock.stand();
    this.timers.rearm();
    this.clock.moveTo(Math.min(toMs - this.clock.shift, due));
  },

  /** Fire everything due up to `toMs` in order, each at its instant, settled in between. */
  async advance(message) {
    const { clock, timers, quiet } = this;
    const target = message.toMs - clock.shift;
    const bound = this.bound(message);
    let fired = 0;
    this.paused = false;
    clock.stand();
    timers.rearm();
    await quiet.settle(bound);
    while (!this.paused) {
      const due = timers.next();
      if (due === null || due > target) {
        clock.moveTo(target);
        break;
      }
      if (this.real.now() > bound.until) throw new Error(`still not there after ${fired} timers`);
      clock.moveTo(due);
      if (await this.inTurn(() => timers.fireFirst())) fired += 1;
      await quiet.settle(bound);
    }
    return { fired, paused: this.paused };
  },

  /** The clock is suddenly at `toMs`. What is due then fires once; going back, or `wallOnly`, moves no timer. */
  async jump(message) {
    const { clock, timers, quiet } = this;
    const distance = message.toMs - clock.wall();
    const bound = this.bound(message);
    let fired = 0;
    clock.stand();
    timers.rearm();
    if (distance < 0 || message.wallOnly) clock.shift += distance;
    else {
      clock.moveTo(message.toMs - clock.shift);
      for (const timer of timers.allDue()) {
        await this.inTurn(() => {
          if (!timers.isDue(timer)) return; // another callback has cleared or refreshed it
          timers.fire(timer);
          fired += 1;
        });
      }
    }
    quiet.wakeRequests();
    await quiet.settle(bound);
    return { fired };
  },

  mode({ mode }) {
    this.clock.frozen = mode === 'frozen';
    if (this.clock.frozen) this.clock.stand();
    else this.clock.run();
    this.timers.rearm();
  },

  /** The end of a move: a running clock runs again. */
  release() {
    if (!this.clock.frozen) this.clock.run();
    this.timers.rearm();
  },
};

/** Run something in a turn of its own, with its ticks and promises after it, as Node runs a timer. */
Control.prototype.inTurn = function (action) {
  return new Promise((resolve) => {
    this.real.setImmediate(() => {
      let result;
      try {
        result = action(); // what it throws goes to the program's uncaughtException
      } finally {
        resolve(result);
      }
    });
  });
};

module.exports = { Control };
