export interface ClusterOptions {
  readonly name: string;
  /** Where the other servers of the cluster reach this one, on loopback. */
  readonly port: number;
  /** `nats://host:port` of the cluster ports of all servers; its own may be among them. */
  readonly routes: readonly string[];
  /** `host:port` that the others are told, if they are to come another way than to the port itself. */
  readonly advertise?: string | undefined;
}

export interface ConfigOptions {
  readonly serverName: string;
  /** -1: the server picks a free one. */
  readonly port: number;
  readonly storeDir: string;
  readonly logFile: string;
  /** The server writes a file with its ports here, once it listens. */
  readonly portsDir: string;
  /**
   * How often the store is flushed to disk: a duration such as `1s`, or `always`, before every answer.
   * Default `100ms`: a power cut may lose that much, a killed process nothing.
   */
  readonly syncInterval?: string | undefined;
  /** Absent: three quarters of the free space, as nats-server sees it at start. */
  readonly maxStoreSizeBytes?: number | undefined;
  /** Absent: everybody who reaches the port may connect. The port is on loopback only. */
  readonly login?: { readonly user: string; readonly password: string } | undefined;
  readonly cluster?: ClusterOptions | undefined;
}

/** The account everything of ours lives in. */
export const brokerAccount = 'APP';

/**
 * What the system account shows to `APP`. The first two are advisories: JSON with `client.name`,
 * published by the server that held the connection, some milliseconds after the fact. They are
 * hints (P9): a dying server sends none. The last is a request that every server answers.
 */
export const brokerSubjects = {
  connected: 'presence.connect',
  disconnected: 'presence.disconnect',
  /** Storage of each server, as JSON: `data.config.sync_always`, `data.config.sync_interval` in ns. */
  storage: 'presence.storage',
} as const;

const advisory = (what: string) => `$SYS.ACCOUNT.${brokerAccount}.${what}`;
const storageRequest = '$SYS.REQ.SERVER.PING.JSZ';

/** The configuration of one nats-server on loopback, with JetStream on files. */
export function writeConfig(options: ConfigOptions): string {
  const user = options.login?.user ?? 'local';
  const lines = [
    `server_name: ${quote(options.serverName)}`,
    `listen: "127.0.0.1:${options.port}"`,
    `ports_file_dir: ${quote(options.portsDir)}`,
    `log_file: ${quote(options.logFile)}`,
    'logfile_size_limit: 8MB',
    'logfile_max_num: 4',
    'max_payload: 1MB',
    'write_deadline: "5s"',
    // A hung client is disconnected, and with that noticed, within three seconds.
    'ping_interval: "1s"',
    'ping_max: 2',
    ...jetstreamLines(options),
    ...accountLines(user, options.login?.password),
    'system_account: SYS',
    ...(options.login === undefined ? [`no_auth_user: ${quote(user)}`] : []),
    ...(options.cluster === undefined ? [] : clusterLines(options.cluster)),
  ];
  return `${lines.join('\n')}\n`;
}

function jetstreamLines(options: ConfigOptions): string[] {
  const size = options.maxStoreSizeBytes;
  return [
    'jetstream {',
    `  store_dir: ${quote(options.storeDir)}`,
    `  sync_interval: ${quote(options.syncInterval ?? '100ms')}`,
    ...(size === undefined ? [] : [`  max_file_store: ${size}`]),
    '}',
  ];
}

function accountLines(user: string, password: string | undefined): string[] {
  const login = password === undefined ? '' : `, password: ${quote(password)}`;
  const exported = `accounts: [${brokerAccount}]`;
  const imported = (subject: string) => `{account: SYS, subject: "${subject}"}`;
  return [
    'accounts {',
    '  SYS { exports: [',
    `    {stream: "${advisory('CONNECT')}", ${exported}}`,
    `    {stream: "${advisory('DISCONNECT')}", ${exported}}`,
    `    {service: "${storageRequest}", ${exported}, response: stream}`,
    '  ] }',
    `  ${brokerAccount} {`,
    '    jetstream: enabled',
    `    users: [{user: ${quote(user)}${login}}]`,
    '    imports: [',
    `      {stream: ${imported(advisory('CONNECT'))}, to: "${brokerSubjects.connected}"}`,
    `      {stream: ${imported(advisory('DISCONNECT'))}, to: "${brokerSubjects.disconnected}"}`,
    `      {service: ${imported(storageRequest)}, to: "${brokerSubjects.storage}"}`,
    '    ]',
    '  }',
    '}',
  ];
}

function clusterLines(cluster: ClusterOptions): string[] {
  return [
    'cluster {',
    `  name: ${quote(cluster.name)}`,
    `  listen: "127.0.0.1:${cluster.port}"`,
    `  routes: [${cluster.routes.map(quote).join(', ')}]`,
    ...(cluster.advertise === undefined ? [] : [`  advertise: ${quote(cluster.advertise)}`]),
    '  no_advertise: true',
    '  ping_interval: "1s"',
    '  ping_max: 2',
    '}',
  ];
}

/** nats-server's quoted strings know JSON's escapes of quotes, backslashes and line ends. */
function quote(text: string): string {
  return JSON.stringify(text);
}
