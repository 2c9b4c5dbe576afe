'use strict';
/** Children and worker threads get the clock too, as it stands when they start, whatever environment they are given. */
const path = require('node:path');
const threads = require('node:worker_threads');

const NAMES = ['SOCKET', 'TOKEN', 'START_MS', 'MODE', 'REAL_BELOW_MS', 'ROLE'].map((n) => `CRONSESSION_CLOCK_${n}`);
const PRELOAD = path.join(__dirname, 'preload.cjs');
const OPTION = `--require "${PRELOAD.replace(/["\\]/g, '\\$&')}"`;

/** `env` is this process's own; `clock` tells the time to start from. */
function install(env, clock, quiet) {
  const handOver = (given) => {
    env.CRONSESSION_CLOCK_START_MS = clock.startText();
    const ours = Object.fromEntries(NAMES.filter((name) => env[name] !== undefined).map((name) => [name, env[name]]));
    const options = given.NODE_OPTIONS ?? '';
    return { ...given, ...ours, NODE_OPTIONS: options.includes(PRELOAD) ? options : `${options} ${OPTION}`.trim() };
  };
  followProcesses(handOver, quiet);
  followWorkers(handOver, quiet);
}

function followProcesses(handOver, quiet) {
  const processes = require('node:child_process');
  const { ChildProcess } = processes;
  for (const name of ['spawnSync', 'execSync', 'execFileSync']) {
    const original = processes[name];
    processes[name] = function (...args) {
      handOver({}); // those that inherit our environment find the time in it
      return original.apply(this, args);
    };
  }
  const { spawn } = ChildProcess.prototype;
  ChildProcess.prototype.spawn = function (options) {
    if (options.envPairs) {
      const given = options.envPairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
      const env = handOver(Object.fromEntries(given));
      options.envPairs = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    }
    const error = spawn.call(this, options);
    if (this.send) quiet.counting(this, 'send');
    if (this.pid) {
      const key = `${this.pid}:0`;
      quiet.newcomer(key, 'process');
      this.once('close', () => quiet.joined(key));
    }
    return error;
  };
}

function followWorkers(handOver, quiet) {
  threads.Worker = class Worker extends threads.Worker {
    constructor(file, options = {}) {
      const given = options.env ?? process.env;
      super(file, given === threads.SHARE_ENV ? options : { ...options, env: handOver(given) });
      const key = `${process.pid}:${this.threadId}`;
      quiet.newcomer(key, 'thread');
      this.once('exit', () => quiet.joined(key));
    }
  };
}

module.exports = { install };
