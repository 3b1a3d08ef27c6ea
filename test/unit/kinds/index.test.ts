import { expect, test } from 'vitest';
import { shippedKinds } from '../../../src/kinds/index.js';

test('the shipped kinds', () => {
  expect(shippedKinds.map(({ name, version }) => ({ name, version }))).toEqual([
    { name: 'counter', version: 1 },
    { name: 'kv', version: 2 },
    { name: 'ledger', version: 1 },
  ]);
});
