/** Requests of operations to nodes: lost, late, twice, and refused at once by nobody who is there. */
import { failureOf } from '../../../cluster/operations/engine.js';
import type { Call, Failure, Operation } from '../../../cluster/operations/operation.js';
import { UnderstudyError } from '../../../replication/errors.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import type { Answered } from './store.js';
import { ownVerbs, type Served, verbs } from './verbs.js';

interface Asking {
  readonly call: Call;
  readonly operation: Operation;
}

/** Exactly one answer, unless the process that asks has ended. */
export function callNode(
  host: Host,
  world: World,
  { call, operation }: Asking,
  done: (answer: Answered<unknown>) => void,
): void {
  const { node, verb, request, timeoutMs } = call;
  const inLife = host.inThisLife();
  let isOpen = true;
  const end = (answer: Answered<unknown>) => {
    if (!isOpen) return;
    isOpen = false;
    stopWaiting();
    done(answer);
  };
  const late: Failure = { code: 'timeout', detail: `no answer within ${timeoutMs} ms` };
  const stopWaiting = host.later(timeoutMs, () => end({ failure: late }));
  const target = node === null ? host : world.hosts.find((each) => each.name === node);
  const serve = (at: Host, answer: (answer: Answered<unknown>) => void) => {
    const served: Served = { world, host: at, request: request as never, operation, answer };
    const act = (node === null ? ownVerbs : verbs)[verb];
    try {
      if (act !== undefined) return act(served);
      throw new UnderstudyError('unsupported', `this node cannot ${verb}`);
    } catch (cause) {
      if (!(cause instanceof UnderstudyError)) throw cause;
      answer({ failure: failureOf(cause) });
    }
  };
  if (node === null) return host.soon(() => serve(host, end));
  if (host.partitioned) return;
  if (target === undefined || !target.alive || target.partitioned) {
    const detail = `node ${node} is not connected`;
    host.later(0.5, () => end({ failure: { code: 'node-not-found', detail } }));
    return;
  }
  const send = () =>
    world.bus.send(host, target, () =>
      serve(target, (answer) => world.bus.send(target, host, () => inLife(() => end(answer)))),
    );
  send();
  const { life } = target;
  const again = world.injector.copyAfterMs();
  if (again === null) return;
  world.scheduler.after(again, () => {
    if (target.life === life && host.alive) send();
  });
}
