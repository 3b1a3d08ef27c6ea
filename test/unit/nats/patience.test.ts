import { describe, expect, it } from 'vitest';
import { UnderstudyError } from '../../../replication/errors.js';
import { patiently } from '../../../src/nats/patience.js';

describe('joining while the broker comes and goes', () => {
  it('tries again what the broker did not answer', async () => {
    let tries = 0;
    const work = () => {
      tries += 1;
      return tries < 3 ? Promise.reject(new Error('timeout')) : Promise.resolve(tries);
    };
    expect(await patiently('read', work)).toBe(3);
  });

  it('says what it could not do when its patience is at an end', async () => {
    const work = () => Promise.reject(new Error('timeout'));
    await expect(patiently('read the registry', work, 0)).rejects.toMatchObject({
      code: 'broker-unavailable',
      message: expect.stringMatching(/read the registry within 0 ms \(timeout\)/),
    });
  });

  it('does not repeat what an operator has to mend', async () => {
    let tries = 0;
    const work = () => {
      tries += 1;
      return Promise.reject(new UnderstudyError('invalid-config', 'no'));
    };
    await expect(patiently('read', work)).rejects.toMatchObject({ code: 'invalid-config' });
    expect(tries).toBe(1);
  });
});
