/** One run of a world about machines: operations are started and told things, all of them have to end. */
import { type BatchAnswer, encodeValue } from '../../replication/batch.js';
import type { Member } from '../../replication/member.js';
import { seededRandom } from '../support/scheduler.js';
import { Violation } from './checker.js';
import { type FlowCommand, flowKind } from './flow.js';
import { FlowChecker } from './flow-checker.js';
import { drawOptions, drawSchedule, type SimulationOptions } from './options.js';
import { World } from './world.js';

/** How long after the last fault an operation may take: a trigger that failed often waits for a minute. */
const endWithinMs = 120_000;
const resendMs = 300;

export interface FlowResult {
  readonly violation: { readonly invariant: string; readonly message: string } | null;
  readonly counts: FlowChecker['counts'];
  readonly fired: ReadonlyMap<string, number>;
  readonly epochs: number;
  readonly digest: number;
}

/** Strangers and liars are for the world of records: here nobody forges. */
function optionsOf(drawn: SimulationOptions): SimulationOptions {
  const none = { stranger: 0, forger: 0, liar: 0, rot: 0, operate: 0, cancel: 0 };
  const weights = { ...drawn.weights, ...none };
  return { ...drawn, clients: 0, groups: 1, weights };
}

export function runSeed(seed: number): FlowResult {
  const random = seededRandom(`flow/${seed}`);
  const options = optionsOf(drawOptions(random.fork('options')));
  const schedule = drawSchedule(random.fork('schedule'), options);
  const checker = new FlowChecker('g0');
  const play = { kind: flowKind, checker: () => checker, triggers: random.fork('triggers') };
  const world = new World(`flow/${seed}`, options, false, play);
  const driver = new Driver(world, checker);
  let violation: FlowResult['violation'] = null;
  try {
    world.scheduler.after(1000, () => driver.start(options.chaosMs));
    world.run(schedule);
    driver.untilEnded();
  } catch (error) {
    const { stack, message } = error as Error;
    violation =
      error instanceof Violation
        ? { invariant: error.invariant, message }
        : { invariant: 'crash', message: String(stack) };
  }
  const { counts, fired, epochs } = checker;
  return { violation, counts, fired, epochs, digest: world.digest };
}

/** Whoever runs the group has nothing left to wait for. */
function isIdle(member: Member | undefined): boolean {
  if (member?.role.state !== 'active') return true;
  const { arming } = member.role.active;
  return arming?.armed.size === 0 && arming.byCall.size === 0;
}

/** Sends each command in a session of its own, again and again until it is answered. */
class Driver {
  readonly #peer = {
    name: 'driver',
    life: 1,
    alive: true,
    partitioned: false,
    run: (task: () => void) => task(),
  };
  readonly #started: string[] = [];
  #open = 0;
  #sessions = 1;

  constructor(
    private readonly world: World,
    private readonly checker: FlowChecker,
  ) {}

  start(forMs: number): void {
    const { scheduler } = this.world;
    const endMs = scheduler.now() + forMs;
    const random = scheduler.fork('driver');
    const next = () => {
      const operation = `op-${this.#started.length}`;
      this.#started.push(operation);
      this.#deliver({ start: operation, rounds: random.below(4) });
      // A start can be repeated, and a command may come for anybody.
      if (random.chance(0.2)) this.#deliver({ start: operation, rounds: 0 });
      this.#deliver({ tell: `op-${random.below(this.#started.length)}` });
      if (scheduler.now() < endMs) scheduler.after(20 + random.next() * 120, next);
    };
    next();
    this.#mend();
  }

  /** An operator who retries what has failed. */
  #mend(): void {
    for (const [key, { error }] of this.checker.state.$active.entries()) {
      const [operation, machine] = key.split(' ');
      if (error !== null) this.#deliver({ $machines: { retry: { operation, machine } } });
    }
    this.world.scheduler.after(400, () => this.#mend());
  }

  #deliver(command: FlowCommand | object): void {
    const session = `s${this.#sessions++}`;
    const blob = encodeValue(command);
    const batch = { session, floor: 1, first: 1, count: 1, keys: null, blob };
    let isAnswered = false;
    this.#open += 1;
    const answered = (answer: BatchAnswer) => {
      if (!answer.ok || isAnswered) return;
      isAnswered = true;
      this.#open -= 1;
      // Refused by chance: a start is asked for until it is there.
      const refused = answer.runs[0]?.rejections?.[0]?.[1];
      if (refused === 'unlucky' && 'start' in command) this.#deliver(command);
    };
    const send = () => {
      if (isAnswered) return;
      this.world.deliver(this.#peer, 'g0', batch, answered);
      this.world.scheduler.after(resendMs, send);
    };
    send();
  }

  /** I9 for machines: every operation that was started has one end, and nothing of it is left. */
  untilEnded(): void {
    const { scheduler } = this.world;
    const deadline = scheduler.now() + endWithinMs;
    const { machines } = this.checker;
    const ended = () =>
      this.#started.every((operation) => machines.get(`${operation} flow`) === 'ended') &&
      [...machines.values()].every((step) => step === 'ended') &&
      this.world.hosts.every((host) => isIdle(host.member('g0')));
    while (!ended()) {
      if (scheduler.now() > deadline) {
        const left = [...machines].filter(([, step]) => step !== 'ended').map(([key]) => key);
        throw new Violation('I9', `not ended: ${left.join(', ')}, ${this.#open} unanswered`);
      }
      scheduler.run(scheduler.now() + 500);
    }
  }
}
