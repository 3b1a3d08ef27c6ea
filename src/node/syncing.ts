/** Waiting for members to fetch a state: as long as it comes closer, and not for ever. */
import { setTimeout } from 'node:timers/promises';
import type { GroupDocument, MemberDocument } from '../../cluster/documents.js';
import { UnderstudyError } from '../../replication/errors.js';
import { movingText } from '../sizes.js';
import type { Step } from './operations.js';
import type { Runtime } from './runtime.js';
import type { Inspection } from './verbs.js';
import { memberSync } from './views.js';

const lookTimeoutMs = 1000;
const pollMs = 100;
/** How often an operation tells of the bytes that have come. */
const tellEveryMs = 1000;
/** Less than the time after which an operation without news counts as abandoned. */
const reinitStillMs = 50_000;
const syncStillMs = 30_000;
