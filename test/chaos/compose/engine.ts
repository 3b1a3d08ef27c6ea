/** Docker through its own command, so that everything done here can be typed by hand. */
import { execFile } from 'node:child_process';

export interface DockerOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly timeoutMs?: number | undefined;
}

const callTimeoutMs = 120_000;
const outputBytes = 64 * 1024 * 1024;
/** The first that knows `content` of a config. */
const leastCompose = [2, 23, 1] as const;

/** What it prints. Throws what was called, how it ended, and the end of its complaint. */
export function docker(
  args: readonly string[],
  { env = process.env, timeoutMs = callTimeoutMs }: DockerOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: timeoutMs, maxBuffer: outputBytes };
    execFile('docker', args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout.trim());
      const { code, killed } = error;
      const end = killed ? `no end within ${timeoutMs} ms` : `ended with ${code}`;
      reject(new Error(`docker ${args.join(' ')}: ${end}: ${lastOf(stderr)}`));
    });
  });
}

const lastOf = (text: string) => text.trim().split('\n').slice(-5).join('\n');

/** Why `docker-compose.yml` cannot be brought up on this machine; null: it can. */
export async function whyNoEngine(env: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  const asked = async (...args: string[]) =>
    docker(args, { env, timeoutMs: 20_000 }).then(
      (said) => ({ said, failure: null }),
      (error: Error) => ({ said: '', failure: error.message }),
    );
  const engine = await asked('version', '--format', '{{.Server.Version}}');
  if (engine.failure !== null) {
    const isMissing = engine.failure.includes('ENOENT');
    return isMissing ? 'there is no docker command' : `no engine answers: ${engine.failure}`;
  }
  const compose = await asked('compose', 'version', '--short');
  if (compose.failure !== null) return `docker has no compose command: ${compose.failure}`;
  if (isOlder(compose.said)) {
    return `docker compose is ${compose.said}; the file needs ${leastCompose.join('.')} or newer`;
  }
  return null;
}

function isOlder(version: string): boolean {
  const parts = version.replace(/^v/, '').split('.').map(Number.parseFloat);
  const at = leastCompose.findIndex((least, i) => (parts[i] ?? 0) !== least);
  return at >= 0 && (parts[at] ?? 0) < (leastCompose[at] ?? 0);
}
