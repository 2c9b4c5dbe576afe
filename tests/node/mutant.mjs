// A wrong gateway: gateway.mjs behind a proxy that alters one thing. Usage: node mutant.mjs MUTATION
import { spawn } from 'node:child_process';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const keys = new Map(); // job id -> the session key that was asked for
const rows = new Map(); // session key -> a receipt that was once listed

/** Per mutation: what happens to a request on its way in, and to a result on its way out. */
const MUTATIONS = {
  // A key on an isolated job is taken, stored, shown, and has no effect.
  'key-echoed-and-ignored': {
    result({ params }, result) {
      const { key, target } = (params.job ?? params.patch)?.session ?? {};
      if (result.unused && key && target === 'isolated') {
        keys.set(result.job.id, key);
        result.unused = result.unused.filter(({ field }) => field !== 'session.key');
      }
      for (const job of [result.job, ...(result.jobs ?? [])]) {
        if (keys.has(job?.id) && job.session.target === 'isolated') job.session.key = keys.get(job.id);
      }
    },
  },
  // Receipts stay in session/list for ever.
  'receipts-never-go': {
    result({ method }, result) {
      if (method !== 'session/list') return;
      const listed = new Set(result.sessions.map(({ key }) => key));
      for (const row of result.sessions) if (row.jobId) rows.set(row.key, row);
      result.sessions.push(...[...rows.values()].filter(({ key }) => !listed.has(key)));
    },
  },
  // The zone of a cron schedule is taken and forgotten.
  'zone-dropped': {
    request({ params }) { delete (params.job ?? params.patch)?.schedule?.tz; },
  },
};

const { request = () => {}, result = () => {} } = MUTATIONS[process.argv[2]];
const path = fileURLToPath(new URL('gateway.mjs', import.meta.url));
const gateway = spawn(process.execPath, [path], { stdio: ['pipe', 'pipe', 'inherit'] });
const asked = new Map();

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line);
  request(message);
  asked.set(message.id, message);
  gateway.stdin.write(`${JSON.stringify(message)}\n`);
}).on('close', () => gateway.stdin.end());

readline.createInterface({ input: gateway.stdout }).on('line', (line) => {
  const message = JSON.parse(line);
  if (message.result) result(asked.get(message.id), message.result);
  asked.delete(message.id);
  process.stdout.write(`${JSON.stringify(message)}\n`);
}).on('close', () => process.exit(0));
