// A small agent gateway without packages, built from specs/ alone: JSON-RPC 2.0 on stdio, its state in one JSON file.
// It offers little and refuses what it does not offer. Whoever wants another gateway makes a subclass.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { refuse, slotAfter } from './schedule.mjs';
import { wrongShape } from './shapes.mjs';

export const MINUTE = 60_000, DAY = 24 * 60 * MINUTE;
export const RECEIPT = 'receipt/'; // how the keys of fresh sessions begin
const SWEEP = 10 * MINUTE, HISTORY = 1000; // runs that are remembered
const CAPABILITIES = `clock.advance clock.jump schedule.at schedule.every schedule.cron session.isolated session.named
  session.main session.key session.send job.update job.remove job.disable trigger run.list run.slot run.timeout
  receipts retention maintenance restart`.split(/\s+/);
const POLICIES = { sessionKey: 'honour', keyCase: 'preserve', pastOneShot: 'missed', intervalAnchor: 'grid',
  overlap: 'skip', dst: 'ocps', defaultZone: 'utc', catchUp: 'once', missedOneShot: 'run' };
const HELLO = { protocol: 1, specRevision: 1, name: 'node-gateway', version: '2.0.0', capabilities: CAPABILITIES,
  profiles: ['scheduler', 'sessions', 'retention'], policies: POLICIES, sweepIntervalMs: SWEEP };

/** Methods with a slash in their name are the operations of the contract. */
export class Gateway {
  initialize() { return HELLO; }
  newId() { return randomUUID(); }

  'gateway/start'({ nowMs, stateDir, modelUrl, config }) {
    const file = `${stateDir}/state.json`;
    const { jobs, runs = [], sessions } = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : {};
    Object.assign(this, { file, modelUrl, config, now: nowMs, sweepAt: nowMs + SWEEP, turns: [], runs });
    Object.assign(this, { jobs: new Map(jobs), sessions: new Map(sessions) });
    return {};
  }

  async 'gateway/stop'() {
    await this.drop([...this.turns].reverse(), 'interrupted'); // the last first, or the next in its session begins
    const { jobs, runs, sessions } = this;
    fs.writeFileSync(this.file, JSON.stringify({ jobs: [...jobs], runs, sessions: [...sessions] }));
    return {};
  }

  // ---- jobs

  'job/add'({ job }) { return this.write({}, { id: this.newId(), enabled: true, ...job }); }
  'job/update'({ id, patch }) { return this.write(this.jobs.get(id) ?? refuse('id', 'there is no such job'), patch); }
  'job/list'() { return { jobs: [...this.jobs.values()] }; }
  'job/remove'({ id }) { return { removed: this.jobs.delete(id) }; }
  'job/trigger'({ id }) { return this.launch(this.jobs.get(id), 'manual', null); }

  write(old, change) {
    const job = { ...old, ...change };
    this.check(job);
    const moved = !isDeepStrictEqual(job.schedule, old.schedule);
    if (moved) job.storedAtMs = this.now;
    const next = this.nextSlot(job); // of a disabled job too: this is where an expression is refused
    if (next === null && job.schedule.kind === 'cron') refuse('schedule.expr', 'no date matches it');
    if (moved || job.enabled !== old.enabled) job.nextRunAtMs = job.enabled ? next : null;
    this.jobs.set(job.id, job);
    return { job };
  }

  /** Refuses what is unclear, what says two things, and what would have no effect. */
  check(job) {
    const { agent = 'main', deleteAfterRun, schedule, session: { target, name, key, mode } } = job;
    if (agent !== 'main') refuse('agent', 'there is only main');
    if (deleteAfterRun) refuse('deleteAfterRun', 'jobs stay');
    if (schedule.staggerMs) refuse('schedule.staggerMs', 'runs are not staggered');
    if (!['isolated', 'named', 'main'].includes(target)) refuse('session.target', `there is no target "${target}"`);
    if (mode) refuse('session.mode', 'the target alone decides');
    if (name !== undefined && target !== 'named') refuse('session.name', `target ${target} has no name`);
    if (target === 'named' && !name?.trim()) refuse('session.name', 'a named session needs a name');
    if (key?.trim() === '' || key?.startsWith(RECEIPT)) refuse('session.key', 'no session can be shared by it');
    if (target === 'isolated' || key === undefined) return;
    if (key !== this.resolve(job)) refuse('session.key', `target ${target} is another session`);
  }

  /** The key of the session that a job or a human turn uses; null is a fresh one. Nothing else decides that. */
  resolve({ session: { target, name, key } }) {
    if (target === 'isolated') return key ?? null;
    return target === 'main' ? 'main' : `room/${name.trim()}`;
  }

  // ---- turns: what a run or a person says in a session, one after another there

  launch(job, trigger, slotMs) {
    if (!job) return { started: false, reason: 'there is no such job' };
    if (this.turns.some(({ run }) => run?.jobId === job.id)) return { started: false, reason: 'it runs already' };
    const id = this.newId(), sessionKey = this.resolve(job) ?? RECEIPT + id;
    const run = { id, jobId: job.id, trigger, slotMs, startedAtMs: this.now, status: 'running', sessionKey };
    this.runs = [...this.runs, run].slice(-HISTORY);
    this.enter({ key: sessionKey, text: job.payload.text, run, deadline: this.now + (job.timeoutMs ?? Infinity) });
    return { started: true, runId: id };
  }

  'session/send'({ session, text }) {
    const key = this.resolve({ session }) ?? refuse('session.target', 'nobody speaks in a fresh session');
    this.enter({ key, text, deadline: Infinity });
    return { sessionKey: key };
  }

  enter(turn) { this.turns.push(turn); this.begin(turn.key); }

  /** Begins the first of the turns in a session, if it is still waiting. */
  async begin(key) {
    const turn = this.turns.find((other) => other.key === key);
    if (!turn || turn.request) return;
    turn.request = new AbortController();
    const row = this.touch(key), said = { role: 'user', content: turn.text };
    if (turn.run) turn.run.sessionId = row.id;
    const reply = await this.ask([...row.messages, said], turn.request.signal);
    if (reply) this.end(turn, 'ok', said, reply);
    else this.end(turn, 'error');
  }

  /** The model's message; null if it refuses, is gone, or the request was dropped. */
  async ask(messages, signal) {
    const body = JSON.stringify({ model: 'cronsession', messages }), headers = { 'content-type': 'application/json' };
    const answer = fetch(`${this.modelUrl}/chat/completions`, { method: 'POST', headers, body, signal });
    return answer.then((response) => response.json()).then(({ choices }) => choices[0].message).catch(() => null);
  }

  end(turn, status, ...messages) {
    if (!this.turns.includes(turn)) return; // it was dropped before its answer came
    this.turns = this.turns.filter((other) => other !== turn);
    turn.request?.abort();
    this.touch(turn.key).messages.push(...messages);
    if (turn.run) Object.assign(turn.run, { status, endedAtMs: this.now });
    this.begin(turn.key);
  }

  async drop(turns, status) {
    for (const turn of turns) this.end(turn, status);
    if (turns.length) await this.quiet(); // the model counts a request as held until it has noticed
  }

  'run/list'({ sinceMs = 0 }) { return { runs: this.runs.filter((run) => run.startedAtMs >= sinceMs) }; }

  // ---- time

  async 'clock/advance'({ toMs }) {
    for (let due = this.now; due <= toMs; due = this.nextDue()) {
      this.now = Math.max(this.now, due);
      await this.drop(this.turns.filter((turn) => turn.deadline <= this.now), 'timeout');
      for (const job of this.jobs.values()) this.fire(job);
      if (this.sweepAt <= this.now) this.sweep();
      if (this.turns.length) await this.quiet();
    }
    this.now = toMs;
    return { nowMs: toMs };
  }

  'clock/jump'({ toMs }) { this.now = toMs; return this['clock/advance']({ toMs }); }

  nextDue() {
    const slots = [...this.jobs.values()].map((job) => job.nextRunAtMs ?? Infinity);
    return Math.min(this.sweepAt, ...slots, ...this.turns.map((turn) => turn.deadline));
  }

  nextSlot({ schedule, storedAtMs }) { return slotAfter(schedule, storedAtMs, this.now); }

  /** Starts what is due. One run stands for all slots that passed while nobody watched (catchUp: once). */
  fire(job) {
    const slot = job.nextRunAtMs ?? Infinity;
    if (slot > this.now) return;
    job.nextRunAtMs = this.nextSlot(job);
    this.launch(job, 'schedule', slot);
  }

  /** Waits until the model works on nothing but what its script holds. */
  async quiet() {
    for (;;) {
      const { open, held } = await (await fetch(`${this.modelUrl}/cronsession/turns`)).json();
      if (open === held && held === this.turns.filter((turn) => turn.request).length) return;
      await sleep(1);
    }
  }

  // ---- the store: a row for each session; the reaper and maintenance

  'session/list'({ sinceMs = 0 }) {
    const rows = [...this.sessions.values()].filter((row) => row.updatedAtMs >= sinceMs);
    return { sessions: rows.map(({ messages, ...row }) => row) };
  }

  /** The row of a session, active now. */
  touch(key) {
    const row = this.sessions.get(key) ?? { key, id: this.newId(), messages: [] };
    this.sessions.set(key, Object.assign(row, { updatedAtMs: this.now }));
    return row;
  }

  sweep() {
    const { sessionRetentionMs = DAY, maintenance: { mode, pruneAfterMs, maxEntries } = {} } = this.config;
    this.remove((row, age) => row.key.startsWith(RECEIPT) && age >= (sessionRetentionMs ?? Infinity));
    const surplus = this.sessions.size - (maxEntries ?? Infinity);
    this.remove((row, age, i) => mode === 'enforce' && (age > (pruneAfterMs ?? Infinity) || i < surplus));
    this.sweepAt = this.now + SWEEP;
  }

  /** Removes rows that are not in use; asks about the one first that is idle for longest. */
  remove(mayGo) {
    const idle = [...this.sessions.values()].filter((row) => !this.turns.some((turn) => turn.key === row.key));
    idle.sort((a, b) => a.updatedAtMs - b.updatedAtMs);
    const gone = idle.filter((row, i) => mayGo(row, this.now - row.updatedAtMs, i));
    for (const row of gone) this.sessions.delete(row.key);
  }
}

/** Answers one message a line; messages may overlap. */
export function serve(gateway) {
  const answer = async ({ id, method, params }) => {
    const reply = { jsonrpc: '2.0', id };
    const wrong = wrongShape(method, params);
    try {
      if (wrong) reply.error = { code: -32602, message: wrong };
      else if (gateway[method]) reply.result = await gateway[method](params);
      else reply.error = { code: -32601, message: `there is no operation ${method}` };
    } catch ({ rejected, stack }) {
      if (rejected) reply.result = { rejected };
      else reply.error = { code: -32603, message: stack };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  };
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => answer(JSON.parse(line))).on('close', () => process.exit(0));
}

if (fs.realpathSync(process.argv[1] ?? '.') === fileURLToPath(import.meta.url)) serve(new Gateway());
