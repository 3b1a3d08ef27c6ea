/** Runs the triggers of a member's machines, which are a user's code, while the member is the active. */
import type { Effect, Input, MemberConfig } from '../../replication/effects.js';
import { type Transition, transitionOf } from '../../replication/machines/machine.js';
import type { GroupOfMachines, TriggerCall } from '../machine.js';

type Arm = Extract<Effect, { kind: 'arm' }>;
type Ended = Extract<Input, { kind: 'trigger-ended' }>;

export class Triggers {
  readonly #running = new Map<number, AbortController>();
  /** What machines' triggers need, by machine; aborted together when the member is the active no more. */
  readonly #contexts = new Map<string, unknown>();
  #role = new AbortController();

  constructor(
    private readonly config: MemberConfig,
    private readonly ended: (input: Ended) => void,
  ) {}

  get count(): number {
    return this.#running.size;
  }

  arm(effect: Arm): void {
    const controller = new AbortController();
    this.#running.set(effect.call, controller);
    this.#run(effect, controller.signal).then(
      (output) => this.#end(effect.call, { output }),
      (error: unknown) => this.#end(effect.call, { failure: reasonOf(error) }),
    );
  }

  disarm(call: number): void {
    const controller = this.#running.get(call);
    this.#running.delete(call);
    controller?.abort(new Error('the machine has moved on, or this member is not the active'));
  }

  /** The member is not the active any more: contexts are made anew if it ever is again. */
  stop(): void {
    for (const call of [...this.#running.keys()]) this.disarm(call);
    this.#contexts.clear();
    this.#role.abort(new Error('this member is not the active any more'));
    this.#role = new AbortController();
  }

  /** Asynchronous from its start: nothing of it runs amid a step of the member. */
  async #run(effect: Arm, signal: AbortSignal): Promise<unknown> {
    await null;
    if (signal.aborted) return null;
    const { machine, operation, step, state, transition, data, attempt } = effect;
    const { group, groupId } = this.config;
    const call: TriggerCall<unknown, unknown> = {
      id: `${groupId}/${operation}/${machine}/${step}/${transition}`,
      group,
      operation,
      data: structuredClone(data),
      attempt,
      signal,
      context: await this.#contextOf(machine),
    };
    const { trigger } = this.#transition(machine, state, transition) ?? {};
    if (trigger === undefined) throw new Error(`machine ${machine} has no trigger ${transition}`);
    return await trigger(call as never);
  }

  #transition(machine: string, state: string, name: string): Transition | undefined {
    const definition = this.config.kind.machines?.byName.get(machine);
    return definition && transitionOf(definition, state, name);
  }

  #contextOf(machine: string): unknown {
    const known = this.#contexts.get(machine);
    if (known !== undefined) return known;
    const { group, groupId, kind } = this.config;
    const where: GroupOfMachines = { group, groupId, signal: this.#role.signal };
    const context = kind.machines?.byName.get(machine)?.context?.(where as never);
    this.#contexts.set(machine, context);
    // One that cannot be made is tried again, with the trigger that needed it.
    if (context instanceof Promise) context.catch(() => this.#contexts.delete(machine));
    return context;
  }

  #end(call: number, result: Ended['result']): void {
    if (!this.#running.delete(call)) return;
    this.ended({ kind: 'trigger-ended', call, result, chance: Math.random() });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
