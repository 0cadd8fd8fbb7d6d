import assert from 'node:assert/strict';
import type { Lab } from '../lab/create.ts';
import { lastLine, ping, reaches, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { type Place, story } from './story.ts';
import { bothGo, goes, trusting } from './vxlan.ts';

const VXLAN = 4789;
const ECHO_PORT = 7007;
/** Where a VXLAN datagram holds the UDP checksum of a probe: UDP 8, VXLAN 8, Ethernet 14, IPv6 40, then the seventh byte. */
const INNER_CHECKSUM = 8 + 8 + 14 + 40 + 6;

/**
 * A connection runs while the wire is broken in some way, and goes on; the path falls back, and returns when the wire is mended. In what
 * time is for test/unit/path-probe.test.ts, by a virtual clock, and for `npm run bench -- vxlan`: here daemons and test share the cores.
 */
async function breaks(lab: Lab, fault: (one: Place, two: Place) => Promise<void>): Promise<void> {
  const [one, two] = await trusting(lab);
  assert.ok(one && two);
  await bothGo(one.host, two.host, 'vxlan');
  await reaches(one.sandbox, two.address);
  const server = await serveEcho(two.sandbox, ECHO_PORT);
  const talker = talk(one.sandbox, two.address, ECHO_PORT);
  await until('the first lines to come back', () => lastLine(talker) > 5);

  await fault(one, two);
  await bothGo(one.host, two.host, 'encrypted');
  const fallen = lastLine(talker);
  await until('lines by the encrypted path', () => lastLine(talker) > fallen + 10);

  const pings = one.sandbox.start(['ping', '-i', '0.02', '-W', '1', two.address], { say: null });
  await lab.wire.mend();
  await bothGo(one.host, two.host, 'vxlan', 20_000);
  await reaches(one.sandbox, two.address);
  await pings.stop('SIGINT');
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(pings.output()) ?? [];
  const lost = Number(sent) - Number(received);
  assert.ok(lost <= 50, `the way back lost ${lost} of ${sent} packets, 20 ms each`);
  assert.doesNotMatch(talker.output(), /failed|closed/);
  await Promise.all([talker.stop(), server.stop()]);
}

story('VXLAN that a firewall blocks: encrypted, and back', { hosts: 2 }, (lab) =>
  breaks(lab, (one) => lab.wire.block(one.host.name, 'udp', VXLAN)),
);

story('VXLAN that is lost one way only: both directions fall back, and return', { hosts: 2 }, (lab) =>
  breaks(lab, (_, two) => lab.wire.swallow(two.host.name, VXLAN)),
);

story('VXLAN whose large packets vanish: encrypted, and back', { hosts: 2 }, (lab) =>
  breaks(lab, (one) => lab.wire.swallow(one.host.name, VXLAN, 900)),
);

story(
  'VXLAN with wrong checksums inside, as of a broken network card: encrypted, and back',
  { hosts: 2, underlay: 'nic' },
  async (lab) => {
    for (const host of lab.hosts) await host.run(['ethtool', '-K', 'eth0', 'tx', 'off']);
    await breaks(lab, (one) => lab.wire.corrupt(one.host.name, VXLAN, INNER_CHECKSUM));
  },
);

story(
  'a hole for packets above a size in the middle: the path comes back with what passes',
  { hosts: 2 },
  async (lab) => {
    const [one, two] = await trusting(lab);
    assert.ok(one && two);
    await bothGo(one.host, two.host, 'vxlan');
    // 1300 bytes of inner packet, Ethernet and VXLAN before it.
    await lab.wire.swallow(one.host.name, VXLAN, 1300 + 22);
    await bothGo(one.host, two.host, 'encrypted');
    await bothGo(one.host, two.host, 'vxlan', 20_000);
    const { mtu } = await goes(one.host, two.host, 'vxlan');
    assert.equal(mtu, 1300);
    assert.equal((await goes(two.host, one.host, 'vxlan')).mtu, 1300);
    const size = (bytes: number) => ({ count: 3, size: bytes - 28, whole: true });
    await until('the first packet too large', async () => {
      return (await ping(one.sandbox, two.address, size(mtu + 1))).received === 0;
    });
    assert.equal((await ping(one.sandbox, two.address, size(mtu))).received, 3);
  },
);
