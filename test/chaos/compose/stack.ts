/** The containers of `docker-compose.yml`, under a project name of our own. */
import { createHash } from 'node:crypto';
import { type AdminClient, createAdminClient } from '../../../src/client/admin.js';
import { until } from '../../support/until.js';
import { docker } from './engine.js';

const project = 'understudy-chaos';
const buildTimeoutMs = 15 * 60_000;
const upTimeoutMs = 5 * 60_000;
const healthyTimeoutMs = 90_000;
const askTimeoutMs = 5000;

interface ContainerState {
  readonly Status: string;
  readonly ExitCode: number;
  readonly Health?: { readonly Status: string };
}

export interface Container {
  readonly id: string;
  readonly restarts: number;
  readonly state: ContainerState;
}

interface Resolved {
  readonly services: Readonly<
    Record<string, { readonly environment?: Readonly<Record<string, string>> }>
  >;
}

export class Stack {
  readonly #env: NodeJS.ProcessEnv;
  /** Of each node, as the file advertises it. */
  #adminUrls: ReadonlyMap<string, string> = new Map();
  #brokers: readonly string[] = [];

  constructor(
    private readonly file: string,
    private readonly token: string,
  ) {
    const hash = createHash('sha256').update(token).digest('hex');
    this.#env = { ...process.env, UNDERSTUDY_TOKEN_SHA256: hash };
  }

  get nodes(): readonly string[] {
    return [...this.#adminUrls.keys()];
  }

  get brokers(): readonly string[] {
    return this.#brokers;
  }

  get adminUrls(): readonly string[] {
    return [...this.#adminUrls.values()];
  }

  /** From outside: only what the file publishes. */
  admin(urls: readonly string[] = this.adminUrls): AdminClient {
    return createAdminClient({ url: urls, token: this.token, timeoutMs: askTimeoutMs });
  }

  async resolve(): Promise<void> {
    const { services } = JSON.parse(await this.compose(['config', '--format', 'json'])) as Resolved;
    const urls = Object.entries(services).map(
      ([name, { environment }]) => [name, environment?.UNDERSTUDY_ADMIN_URL] as const,
    );
    this.#adminUrls = new Map(
      urls.flatMap(([name, url]) => (url === undefined ? [] : [[name, url]])),
    );
    this.#brokers = urls.flatMap(([name, url]) => (url === undefined ? [name] : []));
  }

  async build(): Promise<void> {
    await this.compose(['build'], buildTimeoutMs);
  }

  /** Resolves when every container is healthy by its own check. */
  async up(): Promise<void> {
    await this.compose(['up', '--detach', '--no-build', '--wait'], upTimeoutMs);
  }

  /** Containers and network, and with `volumes` everything that was stored. */
  async down(volumes: boolean): Promise<void> {
    const more = volumes ? ['--volumes', '--remove-orphans'] : [];
    await this.compose(['down', ...more], upTimeoutMs);
  }

  logs(): Promise<string> {
    return this.compose(['logs', '--no-color', '--timestamps']);
  }

  compose(args: readonly string[], timeoutMs?: number): Promise<string> {
    const all = ['compose', '--file', this.file, '--project-name', project, ...args];
    return docker(all, { env: this.#env, timeoutMs });
  }

  async container(service: string): Promise<Container> {
    const id = await this.compose(['ps', '--all', '--quiet', service]);
    const [found] = JSON.parse(await docker(['inspect', id])) as {
      readonly RestartCount: number;
      readonly State: ContainerState;
    }[];
    if (found === undefined) throw new Error(`there is no container of ${service}`);
    return { id, restarts: found.RestartCount, state: found.State };
  }

  /** `docker kill`, `docker pause` and so on. */
  async does(verb: 'kill' | 'pause' | 'unpause' | 'start' | 'stop', service: string) {
    const { id } = await this.container(service);
    await docker([verb, id]);
  }

  async disconnect(service: string): Promise<void> {
    const { id } = await this.container(service);
    await docker(['network', 'disconnect', `${project}_default`, id]);
  }

  /** Under its service's name again, which Compose gave it the first time. */
  async connect(service: string): Promise<void> {
    const { id } = await this.container(service);
    await docker(['network', 'connect', '--alias', service, `${project}_default`, id]);
  }

  /** The node dies inside of its container, which is left to the file's restart policy. */
  async crash(node: string): Promise<void> {
    const { id, restarts } = await this.container(node);
    // Of the first process, which only reaps, the child is the node.
    const kill = `
      const { readdirSync, readFileSync } = require('node:fs');
      const parent = (pid) => readFileSync('/proc/' + pid + '/stat', 'utf8').split(') ')[1].split(' ')[1];
      const pids = readdirSync('/proc').filter((name) => /^\\d+$/.test(name));
      process.kill(Number(pids.find((pid) => parent(pid) === '1')), 'SIGKILL');`;
    await docker(['exec', id, 'node', '-e', kill]);
    await until(
      `${node} was restarted`,
      async () => (await this.container(node)).restarts > restarts,
      healthyTimeoutMs,
    );
  }

  async healthy(service: string): Promise<void> {
    const isHealthy = async () => {
      const { state } = await this.container(service);
      return state.Status === 'running' && state.Health?.Status === 'healthy';
    };
    await until(`${service} is healthy`, isHealthy, healthyTimeoutMs);
  }
}
