'use strict';
// A gateway in small: an http server, a cron loop, and a door through which a test runs JavaScript in it.
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const LONGEST_WAIT_MS = 60_000; // the loop looks at the clock at least this often, as real schedulers do

const state = { log: [], note: (...words) => state.log.push([Date.now(), ...words]) };

/** Jobs {name, everyMs}, due at whole multiples of their interval; every run is written to disk before the next. */
state.cron = (jobs) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tiny-'));
  const due = (job) => Math.floor(Date.now() / job.everyMs + 1) * job.everyMs;
  for (const job of jobs) job.next = due(job);
  const tick = async () => {
    for (const job of jobs.filter((one) => one.next <= Date.now())) {
      state.log.push([Date.now(), job.name, job.next]);
      const file = path.join(folder, job.name);
      await fs.promises.writeFile(`${file}.new`, String(job.next));
      await fs.promises.rename(`${file}.new`, file);
      job.next = Number(await fs.promises.readFile(file, 'utf8')) + job.everyMs;
    }
    arm();
  };
  const arm = () => {
    const next = Math.min(...jobs.map((job) => job.next));
    setTimeout(tick, Math.min(Math.max(next - Date.now(), 0), LONGEST_WAIT_MS));
  };
  arm();
};

const AsyncFunction = (async () => {}).constructor;
const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  try {
    const result = await new AsyncFunction('state', 'require', body)(state, require);
    response.end(JSON.stringify({ result: result ?? null }));
  } catch (error) {
    response.end(JSON.stringify({ error: error.stack }));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
