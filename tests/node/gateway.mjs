// A whole agent gateway without packages, built from specs/ alone: JSON-RPC 2.0 on stdio, all state in one JSON file.
// Where the specification leaves a choice, it takes another one than the published default wherever it can.
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

const MINUTE = 60_000, QUARTER = 15 * MINUTE, DAY = 24 * 60 * MINUTE;
const SWEEP = 7 * MINUTE, HISTORY = 500; // runs that are remembered
const POLICIES = { sessionKey: 'report', keyCase: 'preserve', currentFallback: 'reject', catchUp: 'skip', dst: 'both',
  missedOneShot: 'skip', pastOneShot: 'missed', intervalAnchor: 'grid', overlap: 'queue', defaultZone: 'utc' };
const CAPABILITIES = `clock.advance clock.jump schedule.at schedule.every schedule.cron session.isolated session.named
  session.main session.current session.key session.send agents job.update job.remove job.disable job.resolved trigger
  trigger.due run.list run.slot run.cancel run.timeout receipts retention maintenance store.maintain restart crash`;

/** A write that is refused; becomes the member `rejected` of the answer. */
class Refusal extends Error {
  constructor(field, reason) { super(reason); this.field = field; }
}

// ---- schedules ----

const FIELDS = { minute: [0, 59], hour: [0, 23], 'day-of-month': [1, 31],
  month: [1, 12, 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ')],
  'day-of-week': [0, 7, 'SUN MON TUE WED THU FRI SAT'.split(' ')] };

/** The values of one field of a cron expression. */
function parseField([label, [low, high, names = []]], text) {
  const value = (word) => (/^\d+$/.test(word) ? Number(word) : low + names.indexOf(word?.toUpperCase()));
  return new Set(text.split(',').flatMap((part) => {
    const [whole, star, from, to, step] = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part) ?? [];
    const first = star ? low : value(from), last = star ? high : value(to ?? from), by = Number(step ?? 1);
    const sound = whole && low <= first && first <= last && last <= high && by > 0 && (star || to || !step);
    if (!sound) throw new Refusal('schedule.expr', `${label} cannot be read: "${text}"`);
    const values = Array.from({ length: Math.floor((last - first) / by) + 1 }, (_, i) => first + i * by);
    return label === 'day-of-week' ? values.map((day) => day % 7) : values;
  }));
}

function parseCron(expr) {
  const texts = expr.trim().split(/\s+/);
  if (texts.length !== 5) throw new Refusal('schedule.expr', `not five fields: "${expr}"`);
  const sets = Object.entries(FIELDS).map((field, i) => parseField(field, texts[i]));
  const [minutes, hours, days, months, weekdays] = sets;
  const either = texts[2] !== '*' && texts[4] !== '*', fixed = /^\d+ \d+$/.test(`${texts[0]} ${texts[1]}`);
  const onDay = (date) => {
    const byDay = days.has(date.getUTCDate()), byWeekday = weekdays.has(date.getUTCDay());
    return months.has(date.getUTCMonth() + 1) && (either ? byDay || byWeekday : byDay && byWeekday);
  };
  const matches = (date) => minutes.has(date.getUTCMinutes()) && hours.has(date.getUTCHours()) && onDay(date);
  return { fixed, onDay, matches };
}

const zones = new Map();

/** Wall time minus UTC. Clocks change on quarters of an hour; only days with a change are looked at closely. */
function offset(tz, ms, step = DAY) {
  const digits = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' };
  const create = () => new Intl.DateTimeFormat('en-US', { ...digits, timeZone: tz, hourCycle: 'h23' });
  if (!zones.has(tz)) zones.set(tz, { format: create(), known: { [DAY]: new Map(), [QUARTER]: new Map() } });
  const { format, known } = zones.get(tz), at = Math.floor(ms / step) * step;
  const ask = () => {
    const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute) - at;
  };
  const changes = () => offset(tz, at, QUARTER) !== offset(tz, at + DAY, QUARTER);
  const find = () => (step === QUARTER ? ask() : changes() ? null : offset(tz, at, QUARTER));
  if (!known[step].has(at)) known[step].set(at, find());
  return known[step].get(at) ?? offset(tz, ms, QUARTER);
}

/** The first slot strictly after `after`, or null. By instants, a repeated wall time matches twice (dst: both). */
function cronNext({ expr, tz = 'UTC' }, after) {
  const { fixed, onDay, matches } = parseCron(expr);
  let t = Math.floor(after / MINUTE) * MINUTE + MINUTE;
  for (const end = t + 8 * 366 * DAY; t < end;) { // leap days are at most eight years apart
    const date = new Date(t + offset(tz, t)), gap = fixed ? offset(tz, t) - offset(tz, t - MINUTE) : 0;
    if (matches(date)) return t;
    for (let skipped = MINUTE; skipped <= gap; skipped += MINUTE) if (matches(new Date(date - skipped))) return t;
    t = onDay(date) ? t + MINUTE : Math.floor(t / QUARTER) * QUARTER + QUARTER;
  }
  return null;
}

function slotAfter({ schedule, anchor }, after) {
  if (schedule.kind === 'cron') return cronNext(schedule, after);
  if (schedule.kind === 'at') return schedule.atMs > after ? schedule.atMs : null;
  const first = schedule.anchorMs ?? anchor, every = schedule.everyMs;
  return first > after ? first : first + (Math.floor((after - first) / every) + 1) * every;
}

function checkSchedule({ kind, expr, tz = 'UTC' }) {
  if (kind !== 'cron') return;
  parseCron(expr);
  try { offset(tz, 0); } catch { throw new Refusal('schedule.tz', `no zone "${tz}"`); }
}

// ---- resolver: the one place that decides which session a run uses ----

/** The key of the session of a job or a human turn; null is a fresh one. */
function resolve({ agent, session: { target, name, key }, here }) {
  if (target === 'isolated') return null;
  if (target === 'main') return `Main/${agent}`;
  if (target === 'current') return here;
  return key === undefined ? `Room/${encodeURIComponent(agent)}/${name.trim()}` : explicit(agent, key);
}

/** An explicit key is spelled as in session/list, or is a plain word, and then a name. */
function explicit(agent, key) {
  if (!key.trim() || key.startsWith('Receipt/')) throw new Refusal('session.key', `no session to share: "${key}"`);
  return /^(Main|Room)\/./.test(key) ? key : resolve({ agent, session: { target: 'named', name: key } });
}

/** Checks the wish of `job`, takes out of it what has no effect, and returns that for `unused`. */
function checkWish(job, context) {
  const { session: wish, agent } = job, { target, name, key } = wish, unused = [];
  const lose = (member, reason) => { unused.push({ field: `session.${member}`, reason }); delete wish[member]; };
  const known = ['isolated', 'named', 'main', 'current'].includes(target);
  if (!known) throw new Refusal('session.target', `what is "${target}"?`);
  if (target === 'named' && !name?.trim()) throw new Refusal('session.name', 'a named session needs a name');
  if (target !== 'current') delete job.here;
  else if (context) checkWish({ agent, session: context });
  if (target === 'current' && context) job.here = resolve({ agent, session: context });
  if (target === 'current' && !job.here) throw new Refusal('session.target', 'not called from a lasting session');
  if (wish.mode !== undefined) lose('mode', 'the target alone decides');
  if (name !== undefined && target !== 'named') lose('name', `target ${target} has no name`);
  if (key !== undefined && target !== 'named') lose('key', `target ${target} decides the session`);
  else if (key !== undefined && explicit(agent, key) !== resolve({ agent, session: { target, name } })) {
    lose('name', 'the key decides the session');
  }
  return unused;
}

// ---- the gateway: one instance from gateway/start to gateway/stop; its methods with a slash are the operations ----

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
const equal = (a = {}, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

class Gateway {
  constructor({ nowMs, stateDir, modelUrl, token, config }) {
    Object.assign(this, { now: nowMs, sweepAt: nowMs + SWEEP, modelUrl, token, config });
    this.agents = config.agents ?? ['main'];
    this.lanes = new Map(); // session key -> its turns; the first is at the model, the others wait
    this.busy = new Map(); // job id -> the turn of its run
    this.file = path.join(stateDir, 'state.json');
    const stored = fs.existsSync(this.file) && JSON.parse(fs.readFileSync(this.file, 'utf8'));
    this.state = stored || { count: 0, jobs: {}, runs: [], sessions: {} };
    const broken = this.state.runs.filter(({ status }) => status === 'running');
    for (const run of broken) Object.assign(run, { status: 'interrupted', endedAtMs: nowMs });
    this.passOver();
  }

  /** Replaces the file as a whole; called before an answer is sent and before a payload goes to the model. */
  save() {
    this.state.runs.splice(0, this.state.runs.length - HISTORY);
    const text = JSON.stringify(this.state);
    if (text === this.saved) return;
    fs.writeFileSync(`${this.file}.new`, text);
    fs.renameSync(`${this.file}.new`, this.file);
    this.saved = text;
  }

  newId(kind) { return `${kind}/${++this.state.count}`; }
  jobs() { return Object.values(this.state.jobs); }

  /** Slots that passed while nobody watched are not made up for (policies catchUp and missedOneShot: skip). */
  passOver() {
    for (const job of this.jobs()) {
      job.waiting = null;
      if (job.next !== null && job.next < this.now) job.next = slotAfter(job, this.now - 1);
    }
  }

  // -- turns and runs

  launch(job, trigger, slotMs) {
    const id = this.newId('Run'), shared = resolve(job), key = shared ?? `Receipt/${id}`;
    const run = { id, jobId: job.id, trigger, slotMs, startedAtMs: this.now, status: 'running', sessionKey: key };
    this.state.runs.push(run);
    job.waiting = null;
    const deadline = this.now + (job.timeoutMs ?? Infinity);
    this.busy.set(job.id, { key, fresh: !shared, agent: job.agent, text: job.payload.text, run, deadline });
    this.enter(this.busy.get(job.id));
    return { started: true, runId: id };
  }

  /** Turns of one session take place one after another. */
  enter(turn) {
    const lane = this.lanes.get(turn.key) ?? [];
    this.lanes.set(turn.key, lane);
    if (lane.push(turn) === 1) this.begin(turn);
  }

  begin(turn) {
    const { key, agent, fresh, run } = turn;
    const jobId = fresh ? run?.jobId : undefined;
    this.state.sessions[key] ??= { key, id: this.newId('Talk'), agent, jobId, receipt: fresh, messages: [] };
    turn.row = this.state.sessions[key];
    turn.row.updatedAtMs = this.now;
    if (run) run.sessionId = turn.row.id;
    this.ask(turn);
  }

  async ask(turn) {
    const messages = [...turn.row.messages, { role: 'user', content: turn.text }];
    const post = () => this.call('chat/completions', { model: 'cronsession', messages }, turn.abort.signal);
    turn.abort = new AbortController();
    this.save(); // claimed on disk first
    let answer = await post();
    for (let again = 0; again < 2 && answer.status === 503; again++) answer = await post();
    this.end(turn, answer.status === 200 ? 'ok' : 'error', answer.data?.choices?.[0].message.content);
  }

  end(turn, status, reply) {
    const { over, row, run, text, key } = turn, lane = this.lanes.get(key);
    if (over) return;
    turn.over = true;
    turn.abort?.abort();
    lane.splice(lane.indexOf(turn), 1);
    if (row) row.updatedAtMs = this.now;
    if (status === 'ok') row.messages.push({ role: 'user', content: text }, { role: 'assistant', content: reply });
    if (run) {
      Object.assign(run, { status, endedAtMs: this.now });
      this.busy.delete(run.jobId);
      const { [run.jobId]: job } = this.state.jobs;
      if (job?.deleteAfterRun && job.schedule.kind === 'at' && job.next === null) delete this.state.jobs[job.id];
    }
    if (!lane.length) this.lanes.delete(key);
    else if (row && status !== 'interrupted') this.begin(lane[0]);
    this.save();
  }

  async call(where, body, signal) {
    const type = { 'content-type': 'application/json', connection: 'close' };
    const headers = { authorization: `Bearer ${this.token}`, ...type };
    const init = body ? { method: 'POST', headers, signal, body: JSON.stringify(body) } : { headers };
    const failed = () => ({ status: 0 });
    return fetch(`${this.modelUrl}/${where}`, init).then(
      async (response) => ({ status: response.status, data: await response.json() })).catch(failed);
  }

  // -- time

  /** Waits until the model has noticed dropped requests; before that it counts them as held. */
  async dropped() {
    const open = async () => (await this.call('cronsession/turns')).data?.open ?? 0;
    for (let tries = 0; tries < 500 && (await open()) > this.lanes.size; tries++) await sleep(2);
  }

  async settle() {
    for (;;) {
      const late = [...this.busy.values()].filter(({ deadline }) => deadline <= this.now);
      for (const turn of late) this.end(turn, 'timeout');
      if (late.length) await this.dropped();
      for (const job of this.jobs()) {
        const due = job.next !== null && job.next <= this.now;
        if (due) Object.assign(job, { waiting: job.next, next: slotAfter(job, this.now) });
        if (job.waiting !== null && !this.busy.has(job.id)) this.launch(job, 'schedule', job.waiting);
      }
      if (this.sweepAt <= this.now) this.sweep();
      if (!this.lanes.size) return { nowMs: this.now };
      const { open, held } = (await this.call('cronsession/turns')).data ?? {};
      if (open === held && held === this.lanes.size) return { nowMs: this.now };
      await sleep(1);
    }
  }

  async 'clock/advance'({ toMs }) {
    for (await this.settle(); ; await this.settle()) {
      const slots = this.jobs().map(({ next }) => next ?? Infinity);
      const deadlines = [...this.busy.values()].map(({ deadline }) => deadline);
      const due = Math.min(this.sweepAt, ...slots, ...deadlines);
      this.now = Math.max(this.now, Math.min(due, toMs));
      if (due > toMs) return { nowMs: this.now };
    }
  }

  'clock/jump'({ toMs }) {
    this.now = toMs;
    this.passOver();
    return this.settle();
  }

  // -- jobs

  /** Stores `job` with `change`; a null in a patch is stored and means: not set. */
  write(job, change, context) {
    const draft = structuredClone({ ...job, ...change }), { schedule, agent, enabled } = draft;
    if (!this.agents.includes(agent)) throw new Refusal('agent', `no agent "${agent}"`);
    checkSchedule(schedule);
    const unused = change.session ? checkWish(draft, context) : [];
    const moved = !equal(job.schedule, schedule);
    if (moved) draft.anchor = this.now;
    if (moved || enabled !== job.enabled) {
      Object.assign(draft, { next: enabled ? slotAfter(draft, this.now) : null, waiting: null });
    }
    draft.id ??= this.newId('Job');
    this.state.jobs[draft.id] = draft;
    return { job: this.listed(draft), unused };
  }

  listed({ next, waiting, here, anchor, ...job }) {
    const sessionKey = resolve({ ...job, here }) ?? undefined;
    return { ...job, nextRunAtMs: next, resolved: { sessionKey, fresh: !sessionKey } };
  }

  'job/list'() { return { jobs: this.jobs().map((job) => this.listed(job)) }; }
  'job/remove'({ id }) { return { removed: id in this.state.jobs && delete this.state.jobs[id] }; }

  'job/add'({ job, context }) {
    return this.write({ agent: this.agents[0] }, { enabled: true, ...job }, context?.session);
  }

  'job/update'({ id, patch }) {
    if (!this.state.jobs[id]) throw new Refusal('id', `no job "${id}"`);
    return this.write(this.state.jobs[id], patch);
  }

  'job/trigger'({ id, mode }) {
    const job = this.state.jobs[id];
    if (!job) return { started: false, reason: `no job "${id}"` };
    if (this.busy.has(id)) return { started: false, reason: 'a run of this job is under way' };
    if (mode === 'force') return this.launch(job, 'manual', null);
    if (job.next === null || job.next > this.now) return { started: false, reason: 'no slot is due' };
    Object.assign(job, { waiting: job.next, next: slotAfter(job, this.now) });
    return this.launch(job, 'manual', job.waiting);
  }

  // -- runs, sessions, store

  'run/list'({ sinceMs = 0 }) { return { runs: this.state.runs.filter((run) => run.startedAtMs >= sinceMs) }; }

  async 'run/cancel'({ id }) {
    const turn = [...this.busy.values()].find(({ run }) => run.id === id);
    if (turn) this.end(turn, 'cancelled');
    if (turn) await this.dropped();
    return { cancelled: Boolean(turn) };
  }

  'session/list'({ sinceMs = 0 }) {
    const rows = Object.values(this.state.sessions).filter((row) => row.updatedAtMs >= sinceMs);
    return { sessions: rows.map(({ messages, receipt, ...row }) => row) };
  }

  'session/send'({ session, agent = this.agents[0], text }) {
    const shared = resolve({ agent, session }), key = shared ?? `Receipt/${this.newId('Visit')}`;
    this.enter({ key, fresh: !shared, agent, text });
    return { sessionKey: key, sessionId: this.state.sessions[key].id };
  }

  idle() {
    const free = Object.values(this.state.sessions).filter(({ key }) => !this.lanes.has(key));
    return free.map((row) => ({ ...row, ms: this.now - row.updatedAtMs })).sort((a, b) => b.ms - a.ms);
  }

  sweep() {
    const { sessionRetentionMs: keep = DAY } = this.config;
    const old = this.idle().filter(({ receipt, ms }) => receipt && keep !== null && ms >= keep);
    for (const { key } of old) delete this.state.sessions[key];
    this['store/maintain']({ dryRun: false });
    this.sweepAt = this.now + SWEEP;
  }

  'store/maintain'({ dryRun }) {
    const { mode = 'warn', pruneAfterMs = Infinity, maxEntries = Infinity } = this.config.maintenance ?? {};
    const before = Object.keys(this.state.sessions).length, enforce = mode === 'enforce';
    const gone = this.idle().filter(({ ms }, i) => enforce && (ms > pruneAfterMs || before - i > maxEntries));
    if (!dryRun) for (const { key } of gone) delete this.state.sessions[key];
    return { before, after: before - gone.length, removed: gone.map(({ key }) => key) };
  }

  async stop() {
    const turns = [...this.lanes.values()].flat();
    for (const turn of turns) this.end(turn, 'interrupted');
    if (turns.length) await this.dropped();
  }
}

// ---- JSON-RPC: one message a line; requests may overlap ----

let gateway = null;
const OPERATIONS = {
  initialize: () => ({ protocol: 1, specRevision: 1, name: 'node-gateway', version: '1.0.0',
    capabilities: CAPABILITIES.split(/\s+/), profiles: ['scheduler', 'sessions', 'retention', 'durability'],
    policies: POLICIES, sweepIntervalMs: SWEEP }),
  'gateway/start': (params) => { gateway = new Gateway(params); return {}; },
  'gateway/stop': async () => { await gateway?.stop(); gateway = null; return {}; },
};

async function answer({ id, method, params }) {
  const operation = OPERATIONS[method] ?? (method.includes('/') && gateway?.[method]?.bind(gateway));
  const reply = { jsonrpc: '2.0', id };
  try {
    if (operation) reply.result = await operation(params);
    else reply.error = { code: -32601, message: `no operation ${method}` };
    gateway?.save();
  } catch (error) {
    if (error instanceof Refusal) reply.result = { rejected: { field: error.field, reason: error.message } };
    else reply.error = { code: -32603, message: error.stack };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

readline.createInterface({ input: process.stdin }).on('line', (line) => answer(JSON.parse(line)))
  .on('close', async () => { await gateway?.stop(); process.exit(0); });
