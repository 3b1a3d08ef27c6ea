/** The public door: what programs import from `understudy`. */

export type { Consistency } from '../replication/effects.js';
export { type ErrorCode, UnderstudyError } from '../replication/errors.js';
export type { Kind } from '../replication/kind.js';
export type {
  MachineSignal,
  MachineStart,
  TransitionFacts,
} from '../replication/machines/machine.js';
export type { MachineRow } from '../replication/machines/queries.js';
export type { Range } from '../replication/state/range.js';
export type { Table, TableSpec } from '../replication/state/table.js';
export { AdminClient, type AdminClientOptions, createAdminClient } from './client/admin.js';
export { Client, type ClientOptions, createClient } from './client/client.js';
export {
  BadRequest,
  type Outcome,
  Overloaded,
  Rejected,
  Timeout,
  TooLarge,
} from './client/errors.js';
export {
  type DeliverOptions,
  GroupClient,
  type QueryAnswer,
  type QueryOptions,
} from './client/group.js';
export { type AwaitOptions, MachinesClient } from './client/machines.js';
export {
  type CommandOf,
  type DefinedKind,
  defineKind,
  type EventOf,
  type QueryArgs,
  type QueryName,
  type QueryResult,
  query,
  type ResultOf,
  reject,
  type StateOf,
  table,
} from './kind.js';
export { counter } from './kinds/counter.js';
export { kv } from './kinds/kv.js';
export { ledger } from './kinds/ledger.js';
export {
  type DefinedMachine,
  defineMachine,
  type GroupOfMachines,
  type MachineOptions,
  type NextState,
  type TransitionOptions,
  type TriggerCall,
} from './machine.js';
export type { NodeOptions } from './node/config.js';
export { type RunningNode, type StartOptions, startNode } from './node/node.js';
