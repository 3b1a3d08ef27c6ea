/** Drives one operation on a simulated node, as `src/node/operations/runner.ts` does on a real one. */
import {
  type Drive,
  type DriveEffect,
  type DriveInput,
  type Loaded,
  newDrive,
} from '../../../cluster/operations/drive.js';
import { stepOperation } from '../../../cluster/operations/engine.js';
import { operationKinds } from '../../../cluster/operations/kinds.js';
import type { Driver, Failure, Operation } from '../../../cluster/operations/operation.js';
import type { Host } from '../host.js';
import type { World } from '../world.js';
import { callNode } from './hands.js';
import { observe } from './seeing.js';
import type { Answered } from './store.js';

const unlockAttempts = 5;
const unlockAgainMs = 200;

type Answer = { [Kind in DriveInput['kind']]: Omit<Extract<DriveInput, { kind: Kind }>, 'effect'> };
type Awaited = Extract<DriveEffect, { readonly effect: number }>;

export interface RunnerOptions {
  readonly host: Host;
  readonly world: World;
  readonly id: string;
  readonly self: Driver;
  cancel(holder: string, by: string): void;
  ended(): void;
}

export class Runner {
  readonly #drive: Drive;
  #stopWaiting: () => void = () => undefined;
  #asked: { readonly node: string; readonly effect: number } | null = null;

  constructor(private readonly options: RunnerOptions) {
    this.#drive = newDrive(options.id, options.self, operationKinds);
  }

  start(from: Driver | null): void {
    this.#feed({ kind: 'start', from });
  }

  changed({ operation, revision }: NonNullable<Loaded>): void {
    this.#feed({ kind: 'changed', operation, revision });
  }

  nodeGone(isGone: (node: string) => boolean): void {
    const asked = this.#asked;
    if (asked === null || !isGone(asked.node)) return;
    const error: Failure = { code: 'node-not-found', detail: `node ${asked.node} is down` };
    this.#asked = null;
    this.#feed({ kind: 'failed', effect: asked.effect, error });
  }

  #feed(input: DriveInput): void {
    const { host, world } = this.options;
    const now = { wallMs: host.clock.now().wallMs, jitter: world.operating.chance.next() };
    this.#carryOutAll(stepOperation(this.#drive, input, now));
  }

  /** The process may die or stand still between any two of them, and in the middle of one. */
  #carryOutAll(effects: readonly DriveEffect[]): void {
    const { host, world, id } = this.options;
    const inLife = host.inThisLife();
    for (const [i, effect] of effects.entries()) {
      const rest = effects.slice(i + 1);
      const blow = world.operating.blow(effect, id);
      if (blow === 'before') return world.operating.strikeDriver(host);
      if (blow === 'frozen before') {
        world.operating.freezeDriver(host);
        return inLife(() => this.#carryOutAll([effect, ...rest]));
      }
      this.#carryOut(effect);
      if (blow === 'inside') return world.operating.strikeDriver(host);
      if (blow === 'frozen inside') {
        world.operating.freezeDriver(host);
        return inLife(() => this.#carryOutAll(rest));
      }
    }
  }

  #carryOut(effect: DriveEffect): void {
    const { host, world } = this.options;
    const { store } = world.operating;
    switch (effect.kind) {
      case 'load':
        store.load(
          host,
          effect.id,
          this.#on(effect, (loaded) => ({ kind: 'loaded', loaded })),
        );
        break;
      case 'save': {
        const { operation, revision: of } = effect;
        const saved = this.#on(effect, (revision: number | 'conflict') => ({
          kind: 'saved',
          revision,
        }));
        store.save(host, operation, of, 'drive', saved);
        break;
      }
      case 'lock': {
        const locked = this.#on(effect, (busy: { key: string; holder: string } | null) => ({
          kind: 'locked',
          busy,
        }));
        store.lock(host, effect.keys, effect.holder, locked);
        break;
      }
      case 'unlock':
        host.desk.unlocking += 1;
        this.#unlock(effect.holder, effect.keys, 1);
        break;
      case 'observe':
        observe(
          host,
          world,
          effect.operation,
          this.#on(effect, (seen) => ({ kind: 'observed', seen })),
        );
        break;
      case 'call':
        this.#call(effect);
        break;
      case 'cancel':
        this.options.cancel(effect.holder, effect.by);
        break;
      case 'parked':
        this.#stopWaiting();
        this.#stopWaiting = host.later(effect.wakeAfterMs, () => this.#feed({ kind: 'wake' }));
        break;
      case 'ended':
        this.#stopWaiting();
        this.options.ended();
        break;
      default:
        throw effect satisfies never;
    }
  }

  #on<Value>(
    { effect }: Awaited,
    input: (value: Value) => Answer[keyof Answer],
  ): (answer: Answered<Value>) => void {
    return (answer) => {
      const whole =
        'failure' in answer
          ? { kind: 'failed', error: answer.failure, effect }
          : { ...input(answer.value), effect };
      this.#feed(whole as DriveInput);
    };
  }

  #call(effect: Extract<DriveEffect, { kind: 'call' }>): void {
    const { host, world } = this.options;
    const { call } = effect;
    const operation = this.#drive.operation as Operation;
    world.operating.judge.called(host, this.#drive, call);
    const asked = call.node === null ? null : { node: call.node, effect: effect.effect };
    this.#asked = asked;
    const answered = this.#on(effect, (value: unknown) => ({ kind: 'answered', value }));
    callNode(host, world, { call, operation }, (answer) => {
      if (this.#asked === asked) this.#asked = null;
      answered(answer);
    });
  }

  /** What stays locked in the end is taken by the next who finds its holder over. */
  #unlock(holder: string, keys: readonly string[] | 'all', attempt: number): void {
    const { host, world } = this.options;
    world.operating.store.unlock(host, holder, keys, (failure) => {
      if (failure !== null && attempt < unlockAttempts) {
        return void host.later(unlockAgainMs, () => this.#unlock(holder, keys, attempt + 1));
      }
      host.desk.unlocking -= 1;
      if (failure !== null) world.operating.judge.gaveUpUnlocking(holder);
    });
  }
}
