import { describe, expect, it } from 'vitest';
import { newCoordinator, stepNode } from '../../../cluster/coordinator.js';
import { leave, startDraining, stopDraining } from '../../../cluster/draining.js';
import { nodeInfo, timings } from './support.js';

const now = { monoMs: 1000, wallMs: 1000 };

function newNode() {
  const node = newCoordinator(nodeInfo('a'), timings, now);
  stepNode(node, { kind: 'tick' }, now);
  return node;
}

type Node = ReturnType<typeof newNode>;

/** What the next beat says, in the same instant. */
function said(node: Node): boolean | undefined {
  const beats = stepNode(node, { kind: 'tick' }, now).filter(({ kind }) => kind === 'beat');
  return beats.map((effect) => 'beat' in effect && effect.beat.info.draining)[0];
}

describe('a node that is being emptied', () => {
  it('says so at once, and again when it is asked again', () => {
    const node = newNode();
    expect(said(node)).toBeUndefined();
    startDraining(node, 'one');
    expect(said(node)).toBe(true);
    startDraining(node, 'one');
    expect(said(node)).toBe(true);
  });

  it('is one like the others when that is taken back, whatever comes late', () => {
    const node = newNode();
    startDraining(node, 'one');
    stopDraining(node, 'one');
    expect(said(node)).toBe(false);
    startDraining(node, 'one');
    expect(node.info.draining).toBe(false);
    startDraining(node, 'two');
    stopDraining(node, 'one');
    expect(said(node)).toBe(true);
  });

  it('stays so if its process is about to end', () => {
    const node = newNode();
    startDraining(node, 'one');
    leave(node);
    stopDraining(node, 'one');
    expect(said(node)).toBe(true);
  });

  it('forgets the oldest of many that were taken back', () => {
    const node = newNode();
    for (let i = 0; i < 100; i++) stopDraining(node, `${i}`);
    expect(node.draining.takenBack).toEqual(Array.from({ length: 16 }, (_, i) => `${84 + i}`));
  });
});
