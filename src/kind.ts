/** Where a kind is written: `defineKind` checks it, infers its types and returns what the core runs. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { UnderstudyError } from '../replication/errors.js';
import type { Decision, EventContext, Kind, Query } from '../replication/kind.js';
import { limits } from '../replication/limits.js';
import type { Machine } from '../replication/machines/machine.js';
import { machineTables } from '../replication/machines/tables.js';
import { withMachines } from '../replication/machines/with-machines.js';
import { isTableSpec, type Table, type TableSpec } from '../replication/state/table.js';

export { reject } from '../replication/kind.js';
export { table } from '../replication/state/table.js';

type Queries<State> = Readonly<Record<string, Query<State>>>;

type Specs = Readonly<Record<string, TableSpec>>;
type NoTables = Readonly<Record<never, never>>;
type ValueOf<Spec> = Spec extends TableSpec<infer Value> ? Value : never;

/** What `init` returns, with a handle for each table. */
type WithTables<Plain, T> = [keyof T] extends [never]
  ? Plain
  : Plain & { readonly [N in keyof T]: Table<ValueOf<T[N]>> };

/** The same where nothing is to be inferred from it. */
type Given<Plain, T> = WithTables<NoInfer<Plain>, NoInfer<T>>;

/** Only tables are there without anybody making them. */
type InitNeeded<T> = [keyof T] extends [never] ? { readonly init: unknown } : unknown;

interface CommonOptions<Plain, T, State, Command, Event, Q extends object> {
  /** `[a-z][a-z0-9-]{0,63}`, unique in the cluster; every group records it. */
  readonly name: string;
  /** Positive integer, raised whenever the meaning of events or state changes. */
  readonly version: number;
  /** The state before the first event, apart from its tables, made afresh at every call. */
  readonly init?: () => Plain;
  /** What of the state is many values, each under a key: `tables: { accounts: table<Account>() }`. */
  readonly tables?: T;
  /** Changes `state` in place, or returns the next state. Must not throw for a decided event. */
  readonly apply: (
    state: State,
    event: Event,
    context: EventContext,
    // biome-ignore lint/suspicious/noConfusingVoidType: an `apply` that changes in place returns nothing
  ) => NoInfer<State> | void;
  /**
   * Validates a command, synchronously, before anything else sees it. Its output is ignored: no
   * defaults, no coercion, no stripping. `decide`, `apply` and the log get what the client sent.
   */
  readonly schema?: StandardSchemaV1<Command, unknown>;
  /** Answers from the state; change nothing. Arguments come from outside: check them, see `query`. */
  readonly queries?: Q & Queries<NoInfer<State>>;
  /** Brings an event recorded under an older version of the kind to the present shape. */
  readonly upcast?: (event: unknown, version: number) => NoInfer<Event>;
}

/** A kind whose commands are its events. */
export interface FoldOptions<Plain, T, Event, Q extends object>
  extends CommonOptions<Plain, T, Given<Plain, T>, Event, Event, Q> {
  readonly decide?: undefined;
  readonly machines?: undefined;
}

/** A kind that decides, on its state, which events a command becomes. */
export interface DeciderOptions<Plain, T, Command, Event, Outcome, Q extends object>
  extends CommonOptions<Plain, T, Given<Plain, T>, Command, Event, Q> {
  /** Returns events, `{ events, result }`, or `reject(code, detail)`; changes nothing. */
  readonly decide: (
    state: WithTables<Plain, T>,
    command: Command,
    context: EventContext,
  ) => Outcome;
  /** Durable state machines, which `decide` starts; made by `defineMachine`. */
  readonly machines?: readonly Machine[];
}

type EventsIn<Outcome> = Outcome extends readonly (infer Event)[]
  ? Event
  : Outcome extends { readonly events: readonly (infer Event)[] }
    ? Event
    : never;

type ResultIn<Outcome> = Outcome extends { readonly result: infer Result }
  ? Result
  : Outcome extends readonly unknown[] | { readonly events: readonly unknown[] }
    ? undefined
    : never;

declare const inferred: unique symbol;

/** A `Kind` that remembers its types; `CommandOf` and its like read them. */
export interface DefinedKind<
  State = unknown,
  Command = unknown,
  Event = unknown,
  Result = unknown,
  Q extends object = object,
  Plain = State,
> extends Omit<Kind<State, Command, Event, Result>, 'init' | 'queries' | 'layout'> {
  /** What of the state is in no table. */
  init(): Plain;
  /** Each can be called with its own types, and as the core calls it. Has no prototype. */
  readonly queries: { readonly [N in keyof Q]: Q[N] & Query<unknown> };
  /** Exists in the type only. */
  readonly [inferred]?: {
    readonly state: State;
    readonly command: Command;
    readonly event: Event;
    readonly result: Result;
    readonly queries: Q;
  };
}

type Part<K, Name extends string> = K extends { readonly [inferred]?: infer Parts }
  ? Name extends keyof NonNullable<Parts>
    ? NonNullable<Parts>[Name]
    : never
  : never;

export type StateOf<K> = Part<K, 'state'>;
/** What a client delivers. */
export type CommandOf<K> = Part<K, 'command'>;
/** What the log holds. */
export type EventOf<K> = Part<K, 'event'>;
/** What a delivery answers beside its seq. */
export type ResultOf<K> = Part<K, 'result'>;
export type QueryName<K> = keyof Part<K, 'queries'> & string;
/** `undefined` for a query that takes none. */
export type QueryArgs<K, N extends QueryName<K>> = Part<K, 'queries'>[N] extends (
  state: never,
  ...args: infer Rest
) => unknown
  ? Rest extends readonly [infer Args, ...unknown[]]
    ? Args
    : undefined
  : never;
export type QueryResult<K, N extends QueryName<K>> = Part<K, 'queries'>[N] extends (
  ...args: never
) => infer Value
  ? Value
  : never;

/**
 * Makes a kind of `options`. Throws `invalid-config` that names every option that is wrong.
 *
 * State is inferred from `init` and `tables`, Command from `schema` or from `decide`'s parameter, Event from
 * `apply`'s parameter, or else from what a `decide` written before `apply` returns. Without `decide`
 * a command is its own single event.
 */
export function defineKind<
  Command,
  const Outcome extends Decision<Event>,
  Plain = NoTables,
  T extends Specs = NoTables,
  Event = EventsIn<Outcome>,
  Q extends object = Record<never, never>,
>(
  options: DeciderOptions<Plain, T, Command, Event, Outcome, Q> & InitNeeded<T>,
): DefinedKind<WithTables<Plain, T>, Command, Event, ResultIn<Outcome>, Q, Plain>;
export function defineKind<
  Event,
  Plain = NoTables,
  T extends Specs = NoTables,
  Q extends object = Record<never, never>,
>(
  options: FoldOptions<Plain, T, Event, Q> & InitNeeded<T>,
): DefinedKind<WithTables<Plain, T>, Event, Event, undefined, Q, Plain>;
export function defineKind(options: AnyOptions): DefinedKind {
  const problems = problemsWith(options);
  if (problems.length > 0) {
    throw new UnderstudyError('invalid-config', `defineKind: ${problems.join('; ')}`, { problems });
  }
  const { name, version, init = nothing, tables, apply, decide, schema, queries, upcast } = options;
  const kind: Kind = {
    name,
    version,
    init,
    apply,
    queries: Object.freeze(Object.assign(Object.create(null) as object, queries)),
    ...(tables && { tables: Object.freeze({ ...tables }) }),
    ...(decide && { decide }),
    ...(upcast && { upcast }),
    ...(schema && { problemWith: (command: unknown) => problemWith(schema, command) }),
  };
  const whole = options.machines ? withMachines(kind, options.machines) : kind;
  return Object.freeze(whole) as DefinedKind;
}

/**
 * A query whose arguments are checked against `args` first; a wrong shape throws `bad-request`.
 * As with commands, the schema validates only: `run` gets the arguments as they were sent.
 */
export function query<State, Args, Value>(
  args: StandardSchemaV1<Args, unknown>,
  run: (state: State, args: Args) => Value,
): (state: State, args: Args) => Value {
  return (state, given) => {
    const problem = problemWith(args, given);
    if (problem !== undefined) throw new UnderstudyError('bad-request', problem);
    return run(state, given);
  };
}

type AnyOptions =
  | FoldOptions<unknown, Specs, unknown, object>
  | DeciderOptions<unknown, Specs, unknown, unknown, Decision<unknown>, object>;

const nothing = () => ({});

const known = new Set([
  'name',
  'version',
  'init',
  'tables',
  'apply',
  'decide',
  'schema',
  'queries',
  'upcast',
  'machines',
]);
const namePattern = /^[a-z][a-z0-9-]{0,63}$/;

/** Types do not reach kinds written in JavaScript: every option is checked again. */
function problemsWith(options: unknown): string[] {
  if (!isObject(options)) return [`expected an object with options, received ${brief(options)}`];
  const { name, version, schema } = options;
  const problems: string[] = [];
  const check = (ok: boolean, option: string, expected: string) => {
    if (!ok) problems.push(`${option}: expected ${expected}, received ${brief(options[option])}`);
  };
  check(typeof name === 'string' && namePattern.test(name), 'name', String(namePattern));
  check(Number.isSafeInteger(version) && Number(version) > 0, 'version', 'a positive integer');
  for (const option of ['init', 'apply', 'decide', 'upcast']) {
    const isInit = option === 'init' && options.tables !== undefined;
    const optional = isInit || option === 'decide' || option === 'upcast';
    const given = options[option];
    check(typeof given === 'function' || (optional && given === undefined), option, 'a function');
  }
  if (schema !== undefined) problems.push(...problemsWithSchema(schema));
  problems.push(...problemsWithTables(options.tables));
  problems.push(...problemsWithQueries(options.queries));
  problems.push(...problemsWithMachines(options));
  for (const option of Object.keys(options)) {
    if (known.has(option)) continue;
    problems.push(`${option}: unknown option; the options are ${[...known].join(', ')}`);
  }
  return problems;
}

function problemsWithSchema(schema: unknown): string[] {
  const standard = isObject(schema) ? schema['~standard'] : undefined;
  if (!isObject(standard) || typeof standard.validate !== 'function') {
    return ['schema: expected a Standard Schema validator (zod, valibot, arktype …)'];
  }
  const probe = problemWith(schema as unknown as StandardSchemaV1, undefined);
  return probe === asynchronous ? [`schema: ${asynchronous}`] : [];
}

const tablePattern = /^[a-z][A-Za-z0-9]{0,63}$/;

function problemsWithTables(tables: unknown): string[] {
  if (tables === undefined) return [];
  if (!isObject(tables)) return [`tables: expected an object, received ${brief(tables)}`];
  const entries = Object.entries(tables);
  const count = entries.length;
  if (count === 0 || count > limits.tables) {
    return [`tables: expected 1 to ${limits.tables} tables, received ${count}`];
  }
  return entries.flatMap(([name, spec]) => {
    if (!tablePattern.test(name)) return [`tables.${name}: expected a name like ${tablePattern}`];
    if (isTableSpec(spec)) return [];
    return [`tables.${name}: expected what table() returns, received ${brief(spec)}`];
  });
}

function problemsWithMachines({ machines, decide, tables, queries }: Record<string, unknown>) {
  if (machines === undefined) return [];
  if (!Array.isArray(machines) || machines.length === 0 || machines.length > limits.machines) {
    return [`machines: expected a list of 1 to ${limits.machines}, received ${brief(machines)}`];
  }
  const problems: string[] = [];
  const names = machines.map((machine: unknown) => isObject(machine) && machine.name);
  const isMade = machines.every((machine) => isObject(machine) && isObject(machine.states));
  if (!isMade) problems.push('machines: expected what defineMachine returns');
  if (new Set(names).size !== names.length) problems.push('machines: two have the same name');
  if (typeof decide !== 'function') problems.push('machines: they need decide, which starts them');
  const most = limits.tables - Object.keys(machineTables).length;
  if (Object.keys(tables ?? {}).length > most) {
    problems.push(`tables: with machines at most ${most}`);
  }
  for (const query of Object.keys(queries ?? {})) {
    if (query.startsWith('machines.')) problems.push(`queries.${query}: the name is reserved`);
  }
  return problems;
}

function problemsWithQueries(queries: unknown): string[] {
  if (queries === undefined) return [];
  if (!isObject(queries)) return [`queries: expected an object, received ${brief(queries)}`];
  return Object.entries(queries)
    .filter(([, run]) => typeof run !== 'function')
    .map(([name, run]) => `queries.${name}: expected a function, received ${brief(run)}`);
}

const asynchronous =
  'it validates asynchronously, but commands are checked one after the other, at once; ' +
  'remove what returns a promise';
const shownIssues = 3;

/** One line that says what is wrong with `value` and where, or nothing. Never throws. */
function problemWith(schema: StandardSchemaV1, value: unknown): string | undefined {
  try {
    const outcome = schema['~standard'].validate(value);
    if ('then' in outcome) {
      Promise.resolve(outcome).catch(() => {});
      return asynchronous;
    }
    return outcome.issues && describeAll(outcome.issues, value);
  } catch (error) {
    return `its schema threw: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function describeAll(issues: readonly StandardSchemaV1.Issue[], value: unknown): string {
  const lines = issues.slice(0, shownIssues).map((issue) => describe(issue, value));
  if (issues.length > shownIssues) lines.push(`and ${issues.length - shownIssues} more`);
  return lines.join('; ').replace(/\s*\n\s*/g, ' ');
}

function describe(issue: StandardSchemaV1.Issue, value: unknown): string {
  const path = (issue.path ?? []).map((step) => (typeof step === 'object' ? step.key : step));
  let at: unknown = value;
  for (const key of path)
    at = isObject(at) && Object.hasOwn(at, key) ? at[key as string] : undefined;
  const where = path.length > 0 ? `${path.map(String).join('.')}: ` : '';
  const received =
    /\breceived\b/.test(issue.message) || isObject(at) ? '' : `, received ${brief(at)}`;
  return where + issue.message + received;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

const shownChars = 60;

/** A value in a message: short, on one line. */
function brief(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function') return 'a function';
  if (isObject(value)) return Array.isArray(value) ? 'an array' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > shownChars ? `${text.slice(0, shownChars)}…` : text;
}
