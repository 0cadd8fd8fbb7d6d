import assert from 'node:assert/strict';
import { until } from '../lab/wait.ts';
import type { Family } from '../lab/wire.ts';
import { meshed, story } from './story.ts';
import { pathTo } from './vxlan.ts';

const PORT = 6783;
const EVERY = 0.2;
/** Seconds without packets: two questions without an answer are three; the rest is for a busy machine. */
const MOST_LOST = 8;

story(
  'two hosts between which one version of IP breaks go on by the other within seconds, and back when that breaks, though a third could relay',
  { hosts: 3 },
  async (lab) => {
    const [one, two] = await meshed(lab);
    assert.ok(one && two);
    const isAt = async (family: Family) => {
      const ways = [await pathTo(one.host, two.host), await pathTo(two.host, one.host)];
      return ways.every(({ kind, endpoint }) => {
        return kind === 'encrypted' && endpoint?.startsWith('[2001:db8:18::') === (family === 'ipv6');
      });
    };
    // By which they begin is chance: the one of the link that was there first.
    const both: readonly Family[] = ['ipv4', 'ipv6'];
    const first = await until('both to go by the same', async () => {
      for (const family of both) if (await isAt(family)) return family;
      return undefined;
    });
    const second: Family = first === 'ipv4' ? 'ipv6' : 'ipv4';
    for (const [broken, other] of [
      [first, second],
      [second, first],
    ] as const) {
      const pings = one.sandbox.start(['ping', '-i', `${EVERY}`, '-W', '1', two.address], { say: null });
      await until('pings to come back', () => pings.output().includes('icmp_seq=3 '));
      await lab.wire.wall(one.host.name, two.host.name, PORT, broken);
      await until(`both to go by ${other}`, () => isAt(other), 20_000);
      const came = pings.output().split('\n').length;
      await until('more pings to come back', () => pings.output().split('\n').length > came + 5);
      await pings.stop('SIGINT');
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
      const lost = (Number(sent) - Number(received)) * EVERY;
      console.log(`${broken} broken: ${lost.toFixed(1)} s without packets`);
      assert.ok(lost < MOST_LOST, `${lost} s without packets`);
      await lab.wire.mend();
    }
  },
);
