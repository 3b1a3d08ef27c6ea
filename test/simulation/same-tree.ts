import { equalBytes } from '../../replication/bytes.js';
import { isLeaf, LargeValue, type Node, type StoredValue } from '../../replication/state/tree.js';

const bytesOf = (value: StoredValue) => (value instanceof LargeValue ? value.bytes : value);

/** The same entries, in nodes of the same shape. */
export function isSameTree(one: Node, other: Node): boolean {
  if (one === other) return true;
  if (isLeaf(one) && isLeaf(other)) {
    const areKeys = one.keys.join() === other.keys.join();
    return areKeys && one.values.every((value, i) => isSameValue(value, other.values[i]));
  }
  if (isLeaf(one) || isLeaf(other) || one.bounds.join() !== other.bounds.join()) return false;
  return one.children.every((child, i) => isSameTree(child, other.children[i] as Node));
}

function isSameValue(one: StoredValue, other: StoredValue | undefined): boolean {
  const isLarge = one instanceof LargeValue;
  if (other === undefined || isLarge !== other instanceof LargeValue) return false;
  return equalBytes(bytesOf(one), bytesOf(other));
}
