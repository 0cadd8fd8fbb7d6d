import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOffer, lackingOf, missingAfter, type Summary } from '../../src/core/wire/vector.ts';
import type { Neighbour } from '../../src/mesh/links.ts';
import { createRequests } from '../../src/mesh/requests.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

const summary = (author: string, tag: number, seq: number): Summary => {
  return { author: author as Summary['author'], tag, seq, sum: seq };
};

test('an author whose tag is that of another one, of whom more is held, is asked for', () => {
  const [known, hidden] = [summary('known', 7, 10), summary('hidden', 7, 3)];
  const tagged = (tag: number) => (tag === 7 ? [known] : []);
  const wants: number[] = [];
  const neighbour = {
    send: ({ want }: { want: Uint8Array }) => wants.push(...want.subarray(0, 12)) > 0,
  } as unknown as Neighbour;
  const requests = createRequests({
    clock: createVirtualClock(),
    stillLacking(offered) {
      const after = missingAfter(offered, tagged(offered.tag));
      return after === undefined ? undefined : { ...offered, after };
    },
    onFailure: () => {},
  });
  requests.offered(neighbour, lackingOf(createOffer([known, hidden]), tagged));
  assert.deepEqual(wants, [0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0], 'everything of the tag');
  requests.close();
});
