import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { datapathMemory } from '../bench/memory.ts';
import { buildNative, missing } from './datapath-native-rig.ts';

/** What a mesh of many hosts costs each of them. */

const MEGABYTES = 64;

describe('datapath: a thousand peers', { skip: missing() ?? false }, () => {
  test('a thousand peers with all their keys in use fit 64 MB, and finding one of them costs what finding one of ten does', async () => {
    buildNative();
    const [few, many] = [await datapathMemory(10), await datapathMemory(1000)];
    assert.ok(many.megabytes < MEGABYTES, `${many.megabytes} MB`);
    assert.ok(many.lookupNs < 3 * few.lookupNs, `${few.lookupNs} ns of 10, ${many.lookupNs} ns of 1000`);
  });
});
