'use strict';
/** node:timers/promises and AbortSignal.timeout on the virtual timers. */

function abortError(signal) {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  error.name = 'AbortError';
  error.code = 'ABORT_ERR';
  return error;
}

/** Options that Node would refuse are left to Node, which says why. */
function wellFormed(options) {
  if (options === undefined) return true;
  if (options === null || typeof options !== 'object') return false;
  const { signal, ref } = options;
  return (signal === undefined || signal instanceof AbortSignal) && (ref === undefined || typeof ref === 'boolean');
}

function install(timers, faces) {
  const { real } = timers;
  const isNodes = (delay, options) =>
    timers.isReal(delay) || !wellFormed(options) || (delay !== undefined && typeof delay !== 'number');

  function setTimeout(delay, value, options) {
    if (isNodes(delay, options)) return real.promises.setTimeout(delay, value, options);
    const { signal, ref = true } = options ?? {};
    if (signal?.aborted) return Promise.reject(abortError(signal));
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        faces.clearTimeout(timer);
        reject(abortError(signal));
      };
      const timer = faces.setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve(value);
      }, delay);
      if (!ref) timer.unref();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  function setInterval(delay, value, options) {
    if (isNodes(delay, options)) return real.promises.setInterval(delay, value, options);
    return ticks(delay, value, options ?? {});
  }

  async function* ticks(delay, value, { signal, ref = true }) {
    if (signal?.aborted) throw abortError(signal);
    let waiting = 0;
    let wake = null;
    const stir = () => wake?.();
    const timer = faces.setInterval(() => {
      waiting += 1;
      stir();
    }, delay);
    if (!ref) timer.unref();
    signal?.addEventListener('abort', stir, { once: true });
    try {
      for (;;) {
        if (signal?.aborted) throw abortError(signal);
        if (waiting === 0) await new Promise((resolve) => (wake = resolve));
        for (; waiting > 0; waiting -= 1) yield value;
      }
    } finally {
      faces.clearInterval(timer);
      signal?.removeEventListener('abort', stir);
    }
  }

  const promises = require('node:timers/promises');
  Object.assign(promises, { setTimeout, setInterval });
  promises.scheduler.wait = (delay, options) =>
    isNodes(delay, options) ? real.wait(delay, options) : setTimeout(delay, undefined, options);

  AbortSignal.timeout = function timeout(delay) {
    const whole = Number.isInteger(delay) && delay >= 0 && delay < 2 ** 32;
    if (!whole || timers.isReal(delay)) return real.signalTimeout.call(AbortSignal, delay);
    const controller = new AbortController();
    const reason = () => new DOMException('The operation was aborted due to timeout', 'TimeoutError');
    faces.setTimeout(() => controller.abort(reason()), delay).unref();
    return controller.signal;
  };
  return promises;
}

module.exports = { install };
