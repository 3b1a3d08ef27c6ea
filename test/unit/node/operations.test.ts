/** What an operation puts on record while it runs. */
import type { KV } from '@nats-io/kv';
import { beforeEach, describe, expect, test } from 'vitest';
import type { OperationDocument } from '../../../cluster/documents.js';
import { Operations, type Step } from '../../../src/node/operations.js';

/** Every document that was put, in order. */
let put: OperationDocument[];
let operations: Operations;

const kv = {
  create: (_id: string, text: string) => Promise.resolve(put.push(JSON.parse(text))),
  put: (_id: string, text: string) => Promise.resolve(put.push(JSON.parse(text))),
};

beforeEach(() => {
  put = [];
  operations = new (Operations as unknown as new (kv: KV) => Operations)(kv as unknown as KV);
});

/** The documents once the operation has ended. */
async function driven(run: (step: Step) => Promise<string>): Promise<OperationDocument[]> {
  let ended: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  await operations.start({ id: 'x', kind: 'reinit', target: 'g/1', by: 'ops' }, async (step) => {
    try {
      return await run(step);
    } finally {
      setImmediate(ended);
    }
  });
  await over;
  return put;
}

const stepsOf = (document: OperationDocument | undefined) =>
  document?.steps.map(({ name, detail }) => [name, detail]);

describe('steps', () => {
  test('are put on record one after the other', async () => {
    const documents = await driven(async (step) => {
      await step('forgetting', 'member 1');
      await step('syncing');
      return 'synced';
    });
    const steps = [
      ['started', undefined],
      ['forgetting', 'member 1'],
      ['syncing', undefined],
      ['done', 'synced'],
    ];
    expect(documents.map(({ step }) => step)).toEqual(steps.map(([name]) => name));
    expect(stepsOf(documents.at(-1))).toEqual(steps);
  });

  test('that are told of again stay one, with the last detail and the first time', async () => {
    const documents = await driven(async (step) => {
      for (let i = 1; i <= 1000; i++) await step('syncing', `${i} bytes`);
      return 'synced';
    });
    expect(documents).toHaveLength(1002);
    expect(stepsOf(documents.at(-1))).toEqual([
      ['started', undefined],
      ['syncing', '1000 bytes'],
      ['done', 'synced'],
    ]);
    const first = documents[1]?.steps[1]?.at;
    expect(documents.at(-1)?.steps[1]?.at).toBe(first);
  });

  test('of the same name with another between them are two', async () => {
    const documents = await driven(async (step) => {
      await step('syncing', '1');
      await step('handing-off');
      await step('syncing', '2');
      throw new Error('broken');
    });
    expect(stepsOf(documents.at(-1))).toEqual([
      ['started', undefined],
      ['syncing', '1'],
      ['handing-off', undefined],
      ['syncing', '2'],
      ['failed', 'broken'],
    ]);
    expect(documents.at(-1)?.lastError).toEqual({ code: 'internal', detail: 'broken' });
  });
});
