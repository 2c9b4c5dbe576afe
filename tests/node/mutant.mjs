// Wrong gateways, one small defect each, most of them seen in the wild. Usage: node mutant.mjs [NAME]
import { Gateway, MINUTE, RECEIPT, serve } from './gateway.mjs';

const isReceipt = ({ key }) => key.startsWith(RECEIPT);

// ---- which session

/** A key on an isolated job is taken, stored, shown, and has no effect. */
class KeyIsIgnored extends Gateway {
  launch(job, ...how) {
    const { key, ...session } = job?.session ?? {};
    return super.launch(job && { ...job, session }, ...how);
  }
}

/** An isolated job has one session for all its runs. */
class FreshIsReused extends Gateway {
  resolve(job) { return super.resolve(job) ?? (job.id ? RECEIPT + job.id : null); }
}

/** Target main is accepted, and runs as if it were isolated. */
class MainIsIsolated extends Gateway {
  launch(job, ...how) {
    const isMain = job?.session.target === 'main';
    return super.launch(isMain ? { ...job, session: { target: 'isolated' } } : job, ...how);
  }
}

/** Names are made into words that are fit for the file system. */
class NamesAreSlugs extends Gateway {
  resolve(job) { return super.resolve(job)?.replace(/[^a-z0-9/]+/gi, '-').replace(/(?<=room\/.*)\//g, '-') ?? null; }
}

/** Jobs have rooms of their own beside the ones in which people speak. */
class RoomsAreSynthetic extends Gateway {
  launch(job, ...how) {
    const { target, name } = job?.session ?? {}, own = { target, name: `cron:${name?.trim()}` };
    return super.launch(target === 'named' ? { ...job, session: own } : job, ...how);
  }
}

/** After a run in a session, the next message of a person begins it anew. */
class PersonStartsAnew extends Gateway {
  'session/send'(params) {
    const key = this.resolve(params);
    if (this.runs.some((run) => run.sessionKey === key)) this.sessions.delete(key);
    return super['session/send'](params);
  }
}

// ---- when

/** The zone of a cron schedule is checked, stored and forgotten. */
class ZoneIsDropped extends Gateway {
  nextSlot(job) {
    const { tz, ...schedule } = job.schedule;
    return super.nextSlot(job) && super.nextSlot({ ...job, schedule });
  }
}

/** A run that ends within its own second is started again with the next one. */
class SlotRunsTwice extends Gateway {
  repeated = new Set();

  end(turn, ...rest) {
    super.end(turn, ...rest);
    const { jobId, slotMs } = turn.run ?? {}, job = this.jobs.get(jobId);
    if (slotMs !== this.now || !job || this.repeated.delete(jobId)) return;
    this.repeated.add(jobId);
    job.nextRunAtMs = this.now + 1000;
  }
}

/** Whether a run of the job is under way is not asked. */
class JobOverlapsItself extends Gateway {
  launch(job, trigger, slotMs) {
    if (trigger === 'manual') return super.launch(job, trigger, slotMs);
    const others = this.turns;
    this.turns = [];
    const answer = super.launch(job, trigger, slotMs);
    this.turns = [...others, ...this.turns];
    return answer;
  }
}

/** An edited schedule counts from the run after the next. */
class EditKeepsTheNextRun extends Gateway {
  write(old, change) {
    const { job } = super.write(old, change);
    if (old.enabled && job.enabled) job.nextRunAtMs = old.nextRunAtMs;
    return { job };
  }
}

/** A schedule that is written again counts anew, though it is the same. */
class SameScheduleMovesTheInterval extends Gateway {
  write(old, change) {
    const { job } = super.write(old, change), { kind, everyMs } = change.schedule ?? {};
    if (old.enabled && kind === 'every') job.nextRunAtMs = this.now + everyMs;
    return { job };
  }
}

/** A manual run counts the interval anew. */
class ManualRunMovesTheInterval extends Gateway {
  'job/trigger'(params) {
    const job = this.jobs.get(params.id), answer = super['job/trigger'](params);
    if (job?.schedule.kind === 'every') job.nextRunAtMs = this.now + job.schedule.everyMs;
    return answer;
  }
}

/** A one-shot that failed stays enabled, and is started again every minute. */
class FailedOneShotIsNeverDone extends Gateway {
  end(turn, status, ...said) {
    super.end(turn, status, ...said);
    const job = this.jobs.get(turn.run?.jobId);
    if (job?.schedule.kind === 'at' && status === 'error') job.nextRunAtMs = this.now + MINUTE;
  }
}

/** Timers count the time that passed: a jump of the clock puts off whatever is to come. */
class JumpMovesTheSlots extends Gateway {
  'clock/jump'({ toMs }) {
    for (const job of this.jobs.values()) if (job.nextRunAtMs) job.nextRunAtMs += toMs - this.now;
    return super['clock/jump']({ toMs });
  }
}

// ---- what became of a run

/** A time-out is taken, and nobody watches it. */
class TimeoutIsIgnored extends Gateway {
  launch(job, ...how) { return super.launch(job && { ...job, timeoutMs: null }, ...how); }
}

/** A run that the model refused is listed as ok. */
class FailureIsListedAsOk extends Gateway {
  end(turn, status, ...said) { super.end(turn, status === 'error' ? 'ok' : status, ...said); }
}

// ---- the store

/** The retention of receipts is read from nowhere. */
class ReceiptsNeverGo extends Gateway {
  'gateway/start'(params) {
    return super['gateway/start']({ ...params, config: { ...params.config, sessionRetentionMs: null } });
  }
}

/** Receipts are found by way of their jobs: those of removed jobs stay. */
class ReceiptsOutliveTheirJob extends Gateway {
  remove(mayGo) {
    const jobOf = new Map(this.runs.map((run) => [run.sessionKey, run.jobId]));
    super.remove((row, ...rest) => (!isReceipt(row) || this.jobs.has(jobOf.get(row.key))) && mayGo(row, ...rest));
  }
}

/** One row in use ends the whole sweep. */
class BusyRowEndsTheSweep extends Gateway {
  remove(mayGo) { if (!this.turns.length) super.remove(mayGo); }
}

/** Limits and retention apply to sessions that are in use too. */
class RunningSessionIsRemoved extends Gateway {
  remove(mayGo) {
    const { turns } = this;
    this.turns = [];
    super.remove(mayGo);
    this.turns = turns;
  }
}

/** Age counts only when there are too many rows. */
class AgeWaitsForTheCap extends Gateway {
  sweep() {
    const { config } = this, { maintenance = {} } = config;
    const isFull = this.sessions.size > (maintenance.maxEntries ?? Infinity);
    this.config = isFull ? config : { ...config, maintenance: { ...maintenance, pruneAfterMs: undefined } };
    super.sweep();
    this.config = config;
  }
}

const MUTANTS = [KeyIsIgnored, FreshIsReused, MainIsIsolated, NamesAreSlugs, RoomsAreSynthetic, PersonStartsAnew,
  ZoneIsDropped, SlotRunsTwice, JobOverlapsItself, EditKeepsTheNextRun, SameScheduleMovesTheInterval,
  ManualRunMovesTheInterval, FailedOneShotIsNeverDone, JumpMovesTheSlots, TimeoutIsIgnored, FailureIsListedAsOk,
  ReceiptsNeverGo, ReceiptsOutliveTheirJob, BusyRowEndsTheSweep, RunningSessionIsRemoved, AgeWaitsForTheCap];

const Wrong = MUTANTS.find(({ name }) => name === process.argv[2]);
if (Wrong) serve(new Wrong());
else console.log(MUTANTS.map(({ name }) => name).join('\n'));
