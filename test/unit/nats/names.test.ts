import { expect, it } from 'vitest';
import { connectionName, parseConnectionName, purposes } from '../../../src/nats/connect.js';
import { isOlder } from '../../../src/nats/pins.js';

it('reads back the name of a connection', () => {
  for (const purpose of purposes) {
    const name = { node: 'n1', incarnation: 'a1b2', purpose };
    expect(parseConnectionName(connectionName(name))).toEqual(name);
  }
});

it.each([
  '',
  'nats-cli',
  'understudy/n1',
  'understudy/n1/x/other',
  'understudy//x/tail',
  'a/b/c/d',
])('leaves the connection name "%s" to others', (name) => {
  expect(parseConnectionName(name)).toBeUndefined();
});

it.each([
  ['1-9-90', '2-1-95', true],
  ['2-9-90', '2-10-95', true],
  ['2-10-95', '2-10-95', false],
  ['2-10-99', '2-10-95', false],
  ['3-1-1', '2-10-95', false],
  ['of-somebody-else', '2-10-95', false],
  ['1-9-90', 'nonsense', false],
])('snapshot %s is older than %s: %s', (id, than, answer) => {
  expect(isOlder(id, than)).toBe(answer);
});
