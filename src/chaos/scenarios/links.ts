import type { Scenario } from './scenario.js';

const slowConsumer: Scenario = {
  name: 'slow-consumer',
  shows: 'a standby gets what others write at some kilobytes a second, and catches up after it',
  brokers: 1,
  async round(stage) {
    const standby = stage.chance.pick(await stage.standbys(stage.chance.pick(stage.groups)));
    const bytesPerSecond = stage.chance.pick([5_000, 20_000, 50_000]);
    await stage.slowed(standby, 6000, { bytesPerSecond }, { direction: 'down' });
  },
};

const slowLinks: Scenario = {
  name: 'slow-links',
  shows: 'every byte of two nodes takes longer, one more and the other less, as over an ocean',
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    const other = stage.chance.pick(stage.nodes.filter((node) => node !== active));
    const forMs = 6000;
    const delayMs = stage.chance.pick([5, 50, 200]);
    await Promise.all([
      stage.slowed(active, forMs, { delayMs, jitterMs: delayMs }),
      stage.slowed(other, forMs, { delayMs: 1, jitterMs: 300 }),
    ]);
  },
};

/** More than what is left of any frame, and less than what a busy node sends in a second. */
const mostCutSizeBytes = 20_000;

const cutMidFrame: Scenario = {
  name: 'cut-mid-frame',
  shows: "a node's connections end in the middle of a frame, again and again",
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    for (let i = 0; i < 8; i++) {
      const direction = stage.chance.pick(['up', 'down'] as const);
      await stage.cutMidFrame(active, stage.chance.between(1, mostCutSizeBytes), direction);
      await stage.wait(stage.chance.between(200, 800));
    }
  },
};

const refusedLinks: Scenario = {
  name: 'refused-links',
  shows: 'a node with actives loses its connections, and whenever it dials it is refused',
  brokers: 1,
  async round(stage) {
    const active = await stage.active(stage.chance.pick(stage.groups));
    await stage.refused(active, stage.chance.pick([500, 3000, 8000]));
  },
};

export const links: readonly Scenario[] = [slowConsumer, slowLinks, cutMidFrame, refusedLinks];
