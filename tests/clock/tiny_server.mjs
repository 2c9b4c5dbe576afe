// The same in ES modules: everything that tells time is a named import.
import { mkdtempSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { hrtime } from 'node:process';
import { clearTimeout, setInterval, setTimeout } from 'node:timers';
import { scheduler, setInterval as ticks, setTimeout as sleep } from 'node:timers/promises';

const log = [];
const start = { hr: hrtime.bigint(), performance: performance.now(), date: Date.now() };

/** How far each clock has moved, in milliseconds. */
const moved = () => [
  Date.now() - start.date,
  Math.round(performance.now() - start.performance),
  Number((hrtime.bigint() - start.hr) / 1_000_000n),
];

const folder = mkdtempSync(join(tmpdir(), 'tiny-'));

const loops = {
  async hourly() {
    for (;;) {
      await sleep(3_600_000);
      log.push(['hourly', ...moved()]);
      await writeFile(join(folder, 'hourly'), 'x');
      await readFile(join(folder, 'hourly'));
    }
  },
  async quarter() {
    for await (const word of ticks(900_000, 'tick')) log.push(['quarter', ...moved(), word]);
  },
  async daily() {
    for (;;) {
      await scheduler.wait(86_400_000);
      log.push(['daily', ...moved()]);
    }
  },
  interval() {
    setInterval(() => log.push(['interval', ...moved()]), 7_200_000);
    clearTimeout(setTimeout(() => log.push(['cleared']), 1000));
  },
};

const server = createServer((request, response) => {
  if (request.method === 'POST') for (const loop of Object.values(loops)) loop();
  response.end(JSON.stringify({ result: log }));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
