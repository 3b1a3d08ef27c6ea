/** What a node is told: a file, the environment, and defaults; all problems are reported at once. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type ClusterTimings, defaultTimings } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';

const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 letters, digits, "-" and "_"');
const ms = (least: number) => z.coerce.number().int().min(least).max(3_600_000);

/** As a setting, or as a variable's text. */
const flag = z.union([z.boolean(), z.stringbool()]);

const timings = z.strictObject({
  beatMs: ms(20).default(defaultTimings.beatMs),
  suspectAfterMs: ms(50).default(defaultTimings.suspectAfterMs),
  hangTimeoutMs: ms(100).default(defaultTimings.hangTimeoutMs),
  graceMs: ms(0).default(defaultTimings.graceMs),
  rankDelayMs: ms(0).default(defaultTimings.rankDelayMs),
  observeMs: ms(0).default(defaultTimings.observeMs),
  replaceAfterMs: ms(0).default(defaultTimings.replaceAfterMs),
});

const schema = z
  .strictObject({
    /** Unique in the cluster; its members come back to it after a restart. */
    id: name,
    servers: z.array(z.string().min(1)).min(1).default(['nats://127.0.0.1:4222']),
    user: z.string().optional(),
    pass: z.string().optional(),
    namespace: name.default('understudy'),
    zone: name.nullable().default(null),
    admin: z
      .strictObject({
        host: z.string().default('127.0.0.1'),
        /** 0: a free one. */
        port: z.coerce.number().int().min(0).max(65_535).default(7401),
        /** Where others reach it; derived from host and port when absent. */
        url: z.url().nullable().default(null),
      })
      .prefault({}),
    tokenFile: z.string().nullable().default(null),
    /** Of the streams; 3 needs a JetStream cluster of three servers or more. */
    replicas: z.coerce
      .number()
      .pipe(z.union([z.literal(1), z.literal(3)]))
      .default(1),
    /** Streams that the groups' logs are spread over; fixed when the namespace is created. */
    shards: z.coerce.number().int().min(1).max(64).default(4),
    /** A module that exports `kinds`, beside the shipped ones. */
    kindsFile: z.string().nullable().default(null),
    /** Where chunks of snapshots are kept for the next sync and for other nodes; null: nowhere. */
    cacheDir: z.string().nullable().default(null),
    /** All of it; what was not used for longest goes first. */
    cacheSizeBytes: z.coerce
      .number()
      .int()
      .min(1024 * 1024)
      .default(4 * 1024 ** 3),
    /** Something starts this process again whenever it ends, so an operator may have it end. */
    supervised: flag.default(false),
    logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    /** How often a standby looks for a snapshot that it was not told of. */
    pollMs: ms(50).default(2000),
    timings: timings.prefault({}),
  })
  .superRefine((config, context) => {
    const { beatMs, suspectAfterMs, hangTimeoutMs } = config.timings;
    const problem = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['timings', path], message });
    if (suspectAfterMs < 2 * beatMs) {
      problem('suspectAfterMs', `${suspectAfterMs} is less than two beats of ${beatMs} ms`);
    }
    if (hangTimeoutMs <= suspectAfterMs) {
      problem('hangTimeoutMs', `${hangTimeoutMs} is not above suspectAfterMs, ${suspectAfterMs}`);
    }
  });

export type NodeOptions = z.input<typeof schema>;
export type NodeConfig = Readonly<Omit<z.output<typeof schema>, 'timings'>> & {
  readonly timings: ClusterTimings;
};

/** Applies defaults. Throws `invalid-config` with every problem. */
export function compileConfig(options: unknown): NodeConfig {
  const result = schema.safeParse(options);
  if (result.success) return Object.freeze(result.data);
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'configuration'}: ${message}`,
  );
  throw new UnderstudyError('invalid-config', problems.join('; '), { problems });
}

const variables: Readonly<Record<string, readonly string[]>> = {
  UNDERSTUDY_NODE_ID: ['id'],
  UNDERSTUDY_NATS_URL: ['servers'],
  UNDERSTUDY_NATS_USER: ['user'],
  UNDERSTUDY_NATS_PASSWORD: ['pass'],
  UNDERSTUDY_NAMESPACE: ['namespace'],
  UNDERSTUDY_ZONE: ['zone'],
  UNDERSTUDY_ADMIN_HOST: ['admin', 'host'],
  UNDERSTUDY_ADMIN_PORT: ['admin', 'port'],
  UNDERSTUDY_ADMIN_URL: ['admin', 'url'],
  UNDERSTUDY_TOKEN_FILE: ['tokenFile'],
  UNDERSTUDY_REPLICAS: ['replicas'],
  UNDERSTUDY_SHARDS: ['shards'],
  UNDERSTUDY_KINDS: ['kindsFile'],
  UNDERSTUDY_CACHE_DIR: ['cacheDir'],
  UNDERSTUDY_CACHE_SIZE_BYTES: ['cacheSizeBytes'],
  UNDERSTUDY_SUPERVISED: ['supervised'],
  UNDERSTUDY_LOG_LEVEL: ['logLevel'],
  UNDERSTUDY_POLL_MS: ['pollMs'],
  UNDERSTUDY_BEAT_MS: ['timings', 'beatMs'],
  UNDERSTUDY_SUSPECT_AFTER_MS: ['timings', 'suspectAfterMs'],
  UNDERSTUDY_HANG_TIMEOUT_MS: ['timings', 'hangTimeoutMs'],
  UNDERSTUDY_GRACE_MS: ['timings', 'graceMs'],
  UNDERSTUDY_RANK_DELAY_MS: ['timings', 'rankDelayMs'],
  UNDERSTUDY_OBSERVE_MS: ['timings', 'observeMs'],
  UNDERSTUDY_REPLACE_AFTER_MS: ['timings', 'replaceAfterMs'],
};

/** Names of all variables a node reads. */
export const nodeVariables: readonly string[] = Object.keys(variables);

/** A file's settings with the environment's over them. Throws `invalid-config`. */
export function loadConfig(file: string | undefined, env: NodeJS.ProcessEnv): NodeConfig {
  const options = file === undefined ? {} : readConfigFile(file);
  for (const [variable, path] of Object.entries(variables)) {
    const value = env[variable];
    if (value !== undefined && value !== '') put(options, path, value);
  }
  return compileConfig(options);
}

type Settings = Record<string, unknown>;

function put(options: Settings, path: readonly string[], value: string): void {
  const [first, second] = path as [string, string?];
  if (second === undefined) {
    options[first] = first === 'servers' ? value.split(',').map((url) => url.trim()) : value;
    return;
  }
  const inner = (options[first] ?? {}) as Settings;
  inner[second] = value;
  options[first] = inner;
}

function readConfigFile(file: string): Settings {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Settings;
  } catch (error) {
    const reason = (error as Error).message;
    throw new UnderstudyError('invalid-config', `${file} is not a JSON file to read: ${reason}`);
  }
}
