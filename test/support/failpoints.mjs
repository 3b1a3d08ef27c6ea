/**
 * Arms failpoints: `node --import <this file>` with `UNDERSTUDY_FAILPOINTS=after-ack=kill@20,before-open=sleep(500)*1`.
 *
 * Each entry is NAME=ACTION, where ACTION is kill, stop, throw or sleep(MS), then perhaps `*N`: at most N
 * times, and `@N`: not before the N-th time that the program comes by. A node that is killed never
 * comes further, one that sleeps does nothing else meanwhile.
 */
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const replaced = '/dist/src/failpoint.js';
const entryForm = /^([a-z-]+)=(kill|stop|throw|sleep\((\d+)\))(?:\*(\d+))?(?:@(\d+))?$/;

/** By name. Throws for whatever it does not understand: a test would pass for the wrong reason. */
export function parseFailpoints(text = '') {
  const entries = text.split(',').filter((entry) => entry !== '');
  return new Map(
    entries.map((entry) => {
      const found = entryForm.exec(entry);
      if (found === null) throw new Error(`UNDERSTUDY_FAILPOINTS: "${entry}" is no NAME=ACTION`);
      const [, name, action, ms, times = 'Infinity', from = '1'] = found;
      return [
        name,
        { action, ms: Number(ms ?? 0), left: Number(times), from: Number(from), seen: 0 },
      ];
    }),
  );
}

const armed = parseFailpoints(process.env.UNDERSTUDY_FAILPOINTS);
const forever = new Int32Array(new SharedArrayBuffer(4));
/** Any longer a signal to oneself does not take. */
const signalMs = 5000;

export function failpoint(name) {
  const point = armed.get(name);
  if (point === undefined) return;
  point.seen += 1;
  if (point.seen < point.from || point.left === 0) return;
  point.left -= 1;
  if (point.action === 'throw') throw new Error(`failpoint ${name}`);
  if (point.ms > 0) return void Atomics.wait(forever, 0, 0, point.ms);
  process.kill(process.pid, point.action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  if (point.action === 'kill') Atomics.wait(forever, 0, 0, signalMs);
}

/** The hook of the module loader, which runs in a thread of its own. */
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  return found.url.endsWith(replaced) ? { ...found, url: import.meta.url } : found;
}

if (isMainThread) register(import.meta.url);
