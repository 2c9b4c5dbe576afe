// Gateways that are right and different from gateway.mjs. Usage: node variant.mjs [NAME]
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { Gateway, RECEIPT, serve } from './gateway.mjs';
import { refuse } from './schedule.mjs';

/** The base of a gateway that declares something else; `lacks` are capabilities that it has not. */
const declaring = ({ lacks = [], policies = {}, ...more }) => class extends Gateway {
  initialize() {
    const hello = super.initialize(), capabilities = hello.capabilities.filter((name) => !lacks.includes(name));
    return { ...hello, ...more, capabilities, policies: { ...hello.policies, ...policies } };
  }
};

/** Keys say nothing. */
class OpaqueKeys extends declaring({ profiles: ['sessions'] }) {
  resolve(job) {
    const key = super.resolve(job);
    return key === null || /^[0-9a-f]{64}$/.test(key) ? key : createHash('sha256').update(key).digest('hex');
  }
}

/** Keys are upper case, and so are names. */
class UpperCaseKeys extends declaring({ profiles: ['sessions'], policies: { keyCase: 'fold' } }) {
  resolve(job) { return super.resolve(job)?.toUpperCase() ?? null; }
}

/** Ids are time stamps with slashes and colons in them. */
class TimeStampIds extends declaring({ profiles: ['sessions'] }) {
  newId() { return `${new Date(this.now).toISOString()}/${process.hrtime.bigint()}`; }
}

/** A fresh session is gone when its run has ended. */
class ReceiptsGoAtOnce extends declaring({ profiles: ['sessions', 'retention'], lacks: ['receipts'] }) {
  end(turn, ...rest) {
    super.end(turn, ...rest);
    if (turn.key.startsWith(RECEIPT)) this.sessions.delete(turn.key);
  }
}

const ASIDE = 6 * 3_600_000;

/** What is removed is put into an archive, and is there for six hours. */
class RowsAreArchived extends declaring({ profiles: ['retention'] }) {
  remove(mayGo) {
    const before = [...this.sessions.values()];
    super.remove(mayGo);
    const gone = before.filter((row) => !this.sessions.has(row.key));
    const kept = (this.aside ?? []).filter(({ atMs }) => this.now - atMs < ASIDE);
    if (!gone.length && kept.length === this.aside?.length) return;
    this.aside = [...kept, ...gone.map((row) => ({ atMs: this.now, row }))];
    fs.writeFileSync(`${this.file}.archive`, JSON.stringify(this.aside));
  }
}

/** Runs are not listed one by one; a receipt tells its job instead. */
class RunsAreNotListed extends declaring({ lacks: ['run.list', 'run.slot'], profiles: ['retention'] }) {
  'run/list'() { throw new Error('never asked for'); }

  launch(job, ...how) {
    const answer = super.launch(job, ...how), row = this.sessions.get(RECEIPT + answer.runId);
    if (row) row.jobId = job.id;
    return answer;
  }
}

const LATE = 400;

/** Everything starts a little after its slot. */
class RunsAreLate extends declaring({ profiles: ['scheduler'], latenessMs: LATE }) {
  fire(job) { if (job.nextRunAtMs + LATE <= this.now) super.fire(job); }

  nextDue() {
    const slots = [...this.jobs.values()].map((job) => job.nextRunAtMs ?? Infinity);
    return Math.min(this.sweepAt, ...slots.map((slot) => slot + LATE), ...this.turns.map((turn) => turn.deadline));
  }
}

const MORE = `session.named session.main session.key session.send trigger run.list run.slot run.timeout receipts
  retention maintenance restart job.update job.disable clock.jump`.split(/\s+/);

/** Runs jobs on time, and has no more to offer. */
class SchedulerOnly extends declaring({ profiles: ['scheduler'], lacks: MORE }) {
  check(job) {
    super.check(job);
    if (job.session.target !== 'isolated' || job.session.key) refuse('session', 'jobs are isolated');
  }
}

/** A request is answered after a while, and after others that came later. */
class SlowAnswers extends declaring({ profiles: ['scheduler'] }) {}
for (const name of Object.getOwnPropertyNames(Gateway.prototype).filter((method) => method.includes('/'))) {
  SlowAnswers.prototype[name] = async function slow(params) {
    const answer = await Gateway.prototype[name].call(this, params);
    await sleep(name.endsWith('list') ? 1 : 5);
    return answer;
  };
}

const ANSWERS = { sessionKey: 'report', pastOneShot: 'reject', overlap: 'queue', defaultZone: 'host' };

/** Gives other answers to the questions that have several. */
class OtherAnswers extends declaring({ policies: ANSWERS }) {
  waiting = new Map(); // job id -> the latest slot that fell due during its run

  'gateway/start'(params) {
    this.hostZone = params.hostZone;
    return super['gateway/start'](params);
  }

  nextSlot(job) { return super.nextSlot({ ...job, schedule: { tz: this.hostZone, ...job.schedule } }); }

  write(old, change) {
    const { schedule, session } = change;
    if (schedule?.kind === 'at' && schedule.atMs < this.now) refuse('schedule.atMs', 'has passed');
    const loses = session?.target === 'isolated' && session.key !== undefined;
    const answer = super.write(old, loses ? { ...change, session: { target: 'isolated' } } : change);
    if (schedule || change.enabled === false) this.waiting.delete(old.id);
    return loses ? { ...answer, unused: [{ field: 'session.key', reason: 'a fresh session has none' }] } : answer;
  }

  fire(job) {
    const isBusy = this.turns.some(({ run }) => run?.jobId === job.id);
    if (isBusy && job.nextRunAtMs !== null && job.nextRunAtMs <= this.now) this.waiting.set(job.id, job.nextRunAtMs);
    super.fire(job);
  }

  end(turn, status, ...said) {
    super.end(turn, status, ...said);
    const job = this.jobs.get(turn.run?.jobId), slot = this.waiting.get(job?.id);
    if (slot === undefined || status === 'interrupted') return;
    this.waiting.delete(job.id);
    this.launch(job, 'schedule', slot);
  }
}

const VARIANTS = [OpaqueKeys, UpperCaseKeys, TimeStampIds, ReceiptsGoAtOnce, RowsAreArchived, RunsAreNotListed,
  RunsAreLate, SchedulerOnly, SlowAnswers, OtherAnswers];

const Right = VARIANTS.find(({ name }) => name === process.argv[2]);
if (Right) serve(new Right());
else console.log(VARIANTS.map(({ name }) => name).join('\n'));
