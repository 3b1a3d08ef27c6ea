/**
 * What answers take in a member's memory, as every member reckons it: a function of their contents
 * alone, equal before and after a record or a snapshot. Rather too much than too little, at the
 * price of a look at each result and a walk only into those that are objects.
 */
import type { AnswerRun } from './batch.js';

/** A session's place in the table, which may be twice as large as it has to be; no id, no runs. */
const sessionSizeBytes = 296;
/** A run, with no results. */
export const sizeOfEmptyRun = 224;
/** The same of a key, with no result, and of its place in a page. */
const keySizeBytes = 232;
/** Of a key as it is, and packed into a page. */
const keyCharSizeBytes = 3;
const rejectionSizeBytes = 144;
const slotSizeBytes = 8;
/** Beside its slot. */
const boxedNumberSizeBytes = 16;
const charSizeBytes = 2;
const textSizeBytes = 24;
const bytesSizeBytes = 208;
const listSizeBytes = 64;
const objectSizeBytes = 64;
const propertySizeBytes = 24;

export function sizeOfSession(id: string): number {
  return sessionSizeBytes + charSizeBytes * id.length;
}

export function sizeOfRun({ eventCounts, results, rejections }: AnswerRun): number {
  let sizeBytes = sizeOfEmptyRun;
  if (eventCounts !== null) sizeBytes += slotSizeBytes * eventCounts.length;
  if (results !== null) sizeBytes += sizeOfResults(results);
  if (rejections === null) return sizeBytes;
  for (const [, code, detail] of rejections) sizeBytes += sizeOfRejection(code, detail);
  return sizeBytes;
}

function sizeOfResults(results: readonly unknown[]): number {
  let sizeBytes = 0;
  for (let i = 0; i < results.length; i++) sizeBytes += sizeOfResult(results[i]);
  return sizeBytes;
}

/** An answer under a key is held twice, as it is and packed (`key-pages.ts`). */
export function sizeOfKey(
  key: string,
  result: unknown,
  rejection: readonly [code: string, detail: string] | null,
): number {
  let sizeBytes = sizeOfResult(result);
  if (rejection !== null) sizeBytes += sizeOfRejection(...rejection);
  return keySizeBytes + keyCharSizeBytes * key.length + 2 * sizeBytes;
}

function sizeOfRejection(code: string, detail: string): number {
  return rejectionSizeBytes + charSizeBytes * (code.length + detail.length);
}

function sizeOfResult(result: unknown): number {
  if (typeof result !== 'object' || result === null) return sizeOfPlain(result);
  return sizeOfObjects(result);
}

function sizeOfPlain(value: unknown): number {
  if (typeof value === 'number') {
    const isSmall = (value | 0) === value;
    return isSmall ? slotSizeBytes : slotSizeBytes + boxedNumberSizeBytes;
  }
  if (typeof value === 'string')
    return slotSizeBytes + textSizeBytes + charSizeBytes * value.length;
  return typeof value === 'bigint' ? slotSizeBytes + textSizeBytes : slotSizeBytes;
}

/** With a stack of its own: a kind may nest results deeper than the program's. */
function sizeOfObjects(root: object): number {
  let sizeBytes = 0;
  const waiting = [root];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    sizeBytes += slotSizeBytes;
    if (value instanceof Uint8Array) sizeBytes += bytesSizeBytes + value.byteLength;
    else if (Array.isArray(value)) sizeBytes += listSizeBytes + sizeOfItems(value, waiting);
    else sizeBytes += objectSizeBytes + sizeOfProperties(value, waiting);
  }
  return sizeBytes;
}

/** What is an object itself is left to wait. */
function sizeOfItems(list: readonly unknown[], waiting: object[]): number {
  let sizeBytes = 0;
  for (const item of list) {
    if (typeof item === 'object' && item !== null) waiting.push(item);
    else sizeBytes += sizeOfPlain(item);
  }
  return sizeBytes;
}

function sizeOfProperties(value: object, waiting: object[]): number {
  let sizeBytes = 0;
  // Twice as fast as a list of entries; what came out of msgpack inherits no properties.
  for (const name in value) {
    const item = (value as Record<string, unknown>)[name];
    sizeBytes += propertySizeBytes + charSizeBytes * name.length;
    if (typeof item === 'object' && item !== null) waiting.push(item);
    else sizeBytes += sizeOfPlain(item);
  }
  return sizeBytes;
}
