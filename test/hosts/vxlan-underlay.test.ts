import assert from 'node:assert/strict';
import { converged, join, tokenIn } from '../lab/mesh.ts';
import { lastLine, reaches, serveEcho, talk } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { place, story } from './story.ts';
import { bothGo, DEVICE, goes, pathTo, trusting, WIRE, WIRE6 } from './vxlan.ts';

const ECHO_PORT = 7007;

story(
  'hosts that trust each other by different families stay encrypted, until both trust the same',
  { hosts: 2 },
  async (lab) => {
    const up = ['--trusted-subnets', WIRE];
    const [one, two] = await trusting(lab, { up, joining: () => ['--trusted-subnets', WIRE6] });
    assert.ok(one && two);
    const says = (from: typeof one, to: typeof one, reason: string) =>
      until(`${from.host.name} to give the reason`, async () => {
        return (await pathTo(from.host, to.host)).reason === reason;
      });
    await says(
      one,
      two,
      'this host trusts h2 by IPv4, h2 trusts this host by IPv6: both must trust the same',
    );
    await says(
      two,
      one,
      'this host trusts h1 by IPv6, h1 trusts this host by IPv4: both must trust the same',
    );

    await reaches(one.sandbox, two.address);
    const server = await serveEcho(two.sandbox, ECHO_PORT);
    const talker = talk(one.sandbox, two.address, ECHO_PORT);
    await until('the first lines to come back', () => lastLine(talker) > 5);
    await one.host.weft(['trust', 'add', WIRE6]);
    await bothGo(one.host, two.host, 'vxlan');
    assert.equal((await goes(one.host, two.host, 'vxlan')).endpoint, lab.host(2).address6);
    const { stdout } = await one.host.run(['ip', 'route', 'get', two.address]);
    assert.match(stdout, new RegExp(` dev ${DEVICE}6 `));
    const six = lastLine(talker);
    await until('lines by the kernel', () => lastLine(talker) > six + 20);

    // Where both families do it is the one with the shorter headers.
    await two.host.weft(['trust', 'add', WIRE]);
    const byFour = async (from: typeof one, to: typeof one) => {
      const { kind, endpoint } = await pathTo(from.host, to.host);
      return kind === 'vxlan' && endpoint === to.host.address;
    };
    await until('both to go by IPv4', async () => (await byFour(one, two)) && (await byFour(two, one)));
    const four = lastLine(talker);
    await until('lines by the kernel', () => lastLine(talker) > four + 20);
    await until('the device for IPv6 to go', async () => {
      return !(await one.host.run(['ip', 'link'], { say: null })).stdout.includes(`${DEVICE}6`);
    });
    assert.doesNotMatch(talker.output(), /failed|closed/);
    await Promise.all([talker.stop(), server.stop()]);
  },
);

story(
  'two hosts behind one NAT stay encrypted, and the one that sees them says why',
  { hosts: 1 },
  async (lab) => {
    const one = lab.host(1);
    const laptop = await lab.behindNat('laptop');
    const desktop = await lab.behindNat('desktop', laptop);
    const hosts = [one, laptop, desktop];
    await one.weft(['up', '--no-encryption', '--advertise', one.address]);
    for (const host of [laptop, desktop]) await join(host, tokenIn((await one.weft(['invite'])).stdout));
    const outside = await place(lab, one);
    const inside = [await place(lab, laptop, 'c-laptop'), await place(lab, desktop, 'c-desktop')];
    await converged(hosts);
    for (const { host, sandbox, address } of inside) {
      await reaches(sandbox, outside.address);
      await reaches(outside.sandbox, address);
      const reason =
        /^(laptop, desktop|desktop, laptop) come from one address, 198\.18\.0\.100, by which VXLAN/;
      await until(`h1 to say why ${host.name} is encrypted`, async () => {
        const path = await pathTo(one, host);
        return path.kind === 'encrypted' && reason.test(path.reason ?? '');
      });
      assert.equal((await pathTo(host, one)).kind, 'encrypted');
    }
  },
);
