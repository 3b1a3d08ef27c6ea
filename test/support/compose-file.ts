/** `docker-compose.yml` and `Dockerfile`, as far as they can be read without Docker. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly init?: boolean;
  readonly environment: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly configs: readonly { readonly source: string; readonly target: string }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: {
    readonly test: readonly string[];
    readonly interval: string;
    readonly timeout: string;
    readonly retries: number;
    readonly start_period: string;
  };
  readonly stop_signal?: string;
  readonly stop_grace_period: string;
  readonly restart: string;
}

interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly configs: Readonly<Record<'nats' | 'tokens', { readonly content: string }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

export const composeBrokers = ['nats-1', 'nats-2', 'nats-3'] as const;
export const composeNodes = ['node-1', 'node-2', 'node-3'] as const;

export const compose = parse(readFileSync('docker-compose.yml', 'utf8'), {
  merge: true,
}) as Compose;

export const service = (name: string): ComposeService => compose.services[name] as ComposeService;

/** The two forms of substitution the file uses. */
export function substituted(text: string, env: Readonly<Record<string, string>> = {}): string {
  const pattern = /\$\$|\$\{(\w+):-([^}]*)\}/g;
  return text.replace(pattern, (found, name: string, fallback: string) =>
    found === '$$' ? '$' : (env[name] ?? fallback),
  );
}

/** What the container of a service finds in its environment. */
export function environmentOf(name: string): Record<string, string> {
  const entries = Object.entries(service(name).environment);
  return Object.fromEntries(entries.map(([key, value]) => [key, substituted(String(value))]));
}

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Of the whole file, in order; lines that go on are one. */
export const dockerfile: readonly Instruction[] = readFileSync('Dockerfile', 'utf8')
  .replaceAll('\\\n', '')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    return { name, rest };
  });

/** Of the stage that is run. */
export const imageInstructions = dockerfile.slice(
  dockerfile.findLastIndex(({ name }) => name === 'FROM'),
);

/** Throws unless the image has exactly one. */
export function instruction(name: string): string {
  const [found, ...others] = imageInstructions.filter((one) => one.name === name);
  if (found === undefined || others.length > 0) {
    throw new Error(`expected one ${name} in the image, found ${found ? 'several' : 'none'}`);
  }
  return found.rest;
}

/** What the image's own check runs, without a shell. */
export function imageCheck(): readonly string[] {
  return JSON.parse(instruction('HEALTHCHECK').replace(/^.*\bCMD\s+/, '')) as string[];
}

/** `5s`, `90s`, `2m`: the forms that the files use. */
export function durationMs(text: string): number {
  const [, amount, unit] = /^(\d+)(s|m)$/.exec(text) ?? [];
  if (amount === undefined) throw new Error(`"${text}" is not a duration like 5s or 2m`);
  return Number(amount) * (unit === 'm' ? 60_000 : 1000);
}
