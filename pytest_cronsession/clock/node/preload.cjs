'use strict';
/**
 * Puts an unmodified Node process on a clock that another process moves.
 *
 * Loaded with NODE_OPTIONS="--require <this file>"; without CRONSESSION_CLOCK_SOCKET it does nothing.
 *
 *   CRONSESSION_CLOCK_SOCKET         unix socket the controller listens on
 *   CRONSESSION_CLOCK_TOKEN          what the first message has to carry
 *   CRONSESSION_CLOCK_START_MS       where time starts: epoch ms; "real"; or "real+N", N ms ahead of real time
 *   CRONSESSION_CLOCK_MODE           frozen (time stands between commands) or running (it goes on by itself)
 *   CRONSESSION_CLOCK_REAL_BELOW_MS  shorter timers are left to Node and its real time (default 0: none)
 *   CRONSESSION_CLOCK_ROLE           main (the gateway), child or helper (whose end is no news)
 */
const env = process.env;

if (env.CRONSESSION_CLOCK_SOCKET) {
  const { isMainThread, threadId } = require('node:worker_threads');
  const { Clock, installFaces } = require('./faces.cjs');
  const { Timers } = require('./timers.cjs');
  const { Quiet } = require('./quiet.cjs');
  const { Control } = require('./control.cjs');

  // What keeps real time for ourselves, taken before anything is replaced.
  const real = {
    Date,
    now: performance.now.bind(performance),
    hrtime: process.hrtime.bigint,
    uptime: process.uptime.bind(process),
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    setImmediate,
    promises: { ...require('node:timers/promises') },
    wait: require('node:timers/promises').scheduler.wait.bind(require('node:timers/promises').scheduler),
    signalTimeout: AbortSignal.timeout,
  };
  const role = isMainThread ? env.CRONSESSION_CLOCK_ROLE || 'main' : 'worker';
  env.CRONSESSION_CLOCK_ROLE = 'child'; // for whatever this process starts

  const clock = new Clock(real, env.CRONSESSION_CLOCK_START_MS || 'real', env.CRONSESSION_CLOCK_MODE !== 'running');
  const timers = new Timers(real, clock, Number(env.CRONSESSION_CLOCK_REAL_BELOW_MS) || 0);
  const quiet = new Quiet(real);
  installFaces(real, clock);
  timers.install();
  quiet.install();
  require('./inherit.cjs').install(env, clock, quiet);
  // Named imports of ESM see the replacements only after this.
  require('node:module').syncBuiltinESMExports();

  new Control(real, clock, timers, quiet).connect({
    path: env.CRONSESSION_CLOCK_SOCKET,
    hello: { event: 'hello', token: env.CRONSESSION_CLOCK_TOKEN || '', pid: process.pid, thread: threadId, role },
  });
}
