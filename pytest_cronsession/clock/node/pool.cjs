'use strict';
/** Compression and cryptography run in the thread pool, unseen by process.getActiveResourcesInfo(). */

const WITH_CALLBACK = 'pbkdf2 scrypt hkdf randomBytes randomFill randomInt generateKeyPair generateKey sign verify';

/** `begin(what)` notes a piece of work and returns what ends it. */
function followPool(begin) {
  const zlib = require('node:zlib');
  // Streams and one-shot functions alike go through this one.
  const base = Object.getPrototypeOf(Object.getPrototypeOf(zlib.Gzip.prototype));
  const transform = base._transform;
  base._transform = function (chunk, encoding, callback) {
    const end = begin('zlib');
    transform.call(this, chunk, encoding, (...results) => {
      end();
      callback(...results);
    });
  };

  const crypto = require('node:crypto');
  for (const name of WITH_CALLBACK.split(' ')) crypto[name] = counted(crypto[name], () => begin('crypto'));

  const subtle = Object.getPrototypeOf(crypto.webcrypto.subtle);
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(subtle))) {
    if (typeof value !== 'function' || name === 'constructor') continue;
    const promised = function (...args) {
      const end = begin('crypto');
      const result = value.apply(this, args);
      result.then(end, end);
      return result;
    };
    Object.defineProperty(subtle, name, { value: imitate(promised, value) });
  }
}

/** A function whose last argument, if it is a callback, ends what `begin` began. */
function counted(original, begin) {
  return imitate(function (...args) {
    const callback = args.at(-1);
    if (typeof callback !== 'function') return original.apply(this, args);
    const end = begin();
    args[args.length - 1] = function (...results) {
      end();
      return callback.apply(this, results);
    };
    try {
      return original.apply(this, args);
    } catch (error) {
      end();
      throw error;
    }
  }, original);
}

function imitate(face, original) {
  return Object.defineProperties(face, Object.getOwnPropertyDescriptors(original));
}

module.exports = { followPool };
