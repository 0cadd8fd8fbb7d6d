import assert from 'node:assert/strict';
import type { CommandResult } from '../lab/command.ts';
import type { LabHost } from '../lab/host.ts';
import { converged, tokenIn } from '../lab/mesh.ts';
import { ping, reaches, say, serveEcho } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { meshed, place, story } from './story.ts';

story(
  'three hosts join with pasted lines and every container reaches every other',
  { hosts: 3 },
  async (lab) => {
    const places = await meshed(lab);
    const addresses = places.map(({ address }) => address);
    assert.equal(new Set(addresses).size, 3, `addresses are given out once: ${addresses}`);
    for (const from of places) {
      for (const to of places.filter((other) => other !== from)) {
        await reaches(from.sandbox, to.address);
        assert.equal(
          (await ping(from.sandbox, to.address)).received,
          3,
          `${from.sandbox.name} → ${to.sandbox.name}`,
        );
      }
    }
    for (const host of lab.hosts) {
      const { degraded, phase, peers } = await host.status();
      assert.equal(phase.state, 'ready');
      assert.equal(degraded, false);
      assert.deepEqual(
        peers.map(({ nickname, path }) => [nickname, path.kind]),
        ['h1', 'h2', 'h3'].filter((name) => name !== host.name).map((name) => [name, 'encrypted']),
      );
    }
  },
);

story('large packets and a TCP connection pass between containers unharmed', { hosts: 2 }, async (lab) => {
  const [one, two] = await meshed(lab);
  assert.ok(one && two);
  await reaches(one.sandbox, two.address);
  for (const size of [0, 1, 1_300, 4_000, 20_000]) {
    assert.equal((await ping(one.sandbox, two.address, { size })).received, 3, `${size} bytes`);
  }
  const server = await serveEcho(two.sandbox, 7007);
  const text = 'from end to end '.repeat(4_000);
  assert.equal((await say(one.sandbox, two.address, 7007, text)).startsWith(text), true);
  await server.stop();
});

story('text and JSON of status show the same hosts', { hosts: 2 }, async (lab) => {
  await meshed(lab);
  const host = lab.host(1);
  const { stdout: text } = await host.weft(['status']);
  const json = JSON.parse((await host.weft(['status', '--json'])).stdout) as Awaited<
    ReturnType<LabHost['status']>
  >;
  assert.match(text, new RegExp(json.peer ?? 'no peer'));
  for (const peer of json.peers)
    assert.match(text, new RegExp(`^\\s*${peer.nickname}\\s+${peer.state}`, 'm'));
  assert.equal(json.peer, (await host.status()).peer);
});

story('two hosts that join at the same time share no address', { hosts: 3 }, async (lab) => {
  const [first, second, third] = [lab.host(1), lab.host(2), lab.host(3)];
  await first.weft(['up']);
  const token = tokenIn((await first.weft(['invite', '--uses', '2'])).stdout);
  await Promise.all([second, third].map((host) => host.weft(['join', token], { say: 'weft join …' })));
  await converged(lab.hosts);
  const places = await Promise.all(lab.hosts.map((host) => place(lab, host)));
  assert.equal(new Set(places.map(({ address }) => address)).size, 3);
  const [a, b] = [places[1], places[2]];
  assert.ok(a && b);
  await reaches(a.sandbox, b.address);
});

story(
  'of four hosts that use one single-use token at once exactly one gets in',
  { hosts: 5 },
  async (lab) => {
    const [issuer, ...others] = lab.hosts;
    assert.ok(issuer);
    const token = tokenIn((await issuer.weft(['up'])).stdout);
    const results = await Promise.all(others.map((host) => tryJoin(host, token)));
    assert.equal(results.filter(({ status }) => status === 0).length, 1);
    for (const { stderr } of results.filter(({ status }) => status !== 0))
      assert.match(stderr, /used as often|used up/);
    assert.equal((await issuer.status()).peers.length, 1);
  },
);

story(
  'a refused join names its reason, says what to do and leaves the host as it was',
  { hosts: 3 },
  async (lab) => {
    const [first, second, third] = [lab.host(1), lab.host(2), lab.host(3)];
    const old = tokenIn((await first.weft(['up'])).stdout);

    const garbage = [
      'nonsense',
      'wf1_',
      'wf1_AAAA',
      old.slice(0, -9),
      `${old}AAAA`,
      'wf1_'.padEnd(100_000, 'A'),
      '',
    ];
    for (const token of garbage) refusedWith(await tryJoin(second, token), 1, /token/i);

    const swapped = old.slice(0, -6) + (old.at(-6) === 'A' ? 'B' : 'A') + old.slice(-5);
    refusedWith(await tryJoin(second, swapped), 1, /token/i);

    assert.equal((await tryJoin(second, old)).status, 0);
    refusedWith(await tryJoin(third, old), 1, /used/);
    assert.equal(await third.daemon(), undefined, 'the daemon that a failed join started is gone');

    // The same address answers for another mesh now.
    await first.weft(['down']);
    await first.run(['rm', '-r', first.stateFolder]);
    await first.weft(['up']);
    refusedWith(await tryJoin(third, old), 1, /another mesh|other mesh|did not issue/);

    const member = await tryJoin(second, tokenIn((await first.weft(['invite'])).stdout));
    refusedWith(member, 1, /member of another mesh/);
  },
);

story('nobody behind the token: join says whom it tried, within seconds', { hosts: 2 }, async (lab) => {
  const [first, second] = [lab.host(1), lab.host(2)];
  const token = tokenIn((await first.weft(['up'])).stdout);
  await first.weft(['down']);
  const result = await tryJoin(second, token);
  refusedWith(result, 3, /reach/);
  assert.ok(result.elapsed < 20_000, `${result.elapsed} ms`);
});

story('tokens do not appear in logs', { hosts: 2 }, async (lab) => {
  await meshed(lab);
  for (const host of lab.hosts) {
    const { status } = await host.run(['grep', '-r', 'wf1_[A-Za-z0-9]', `${host.stateFolder}/weftd.log`], {
      check: false,
    });
    assert.equal(status, 1, 'grep finds nothing');
    const pid = await until('the daemon', () => host.daemon());
    const { stdout } = await host.run(['cat', `/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
    assert.doesNotMatch(stdout, /wf1_/);
  }
});

function tryJoin(host: LabHost, token: string): Promise<CommandResult> {
  return host.weft(['join', token], { check: false, say: `weft join ${token.slice(0, 12)}…` });
}

/** One line that says what happened, one that says what to do, and no secret in either. */
function refusedWith(result: CommandResult, status: number, reason: RegExp): void {
  assert.equal(result.status, status, result.stderr);
  assert.match(result.stderr, reason);
  const lines = result.stderr.trimEnd().split('\n');
  assert.ok(lines.length <= 2, `at most two lines: ${result.stderr}`);
  assert.match(lines[0] ?? '', /^weft: .{3,300}$/);
  assert.doesNotMatch(result.stderr, /wf1_[A-Za-z0-9_-]{8}/);
  assert.equal(result.stdout, '');
}

story('a host that gets its address after it was set up is joined by it', { hosts: 2 }, async (lab) => {
  const [first, second] = [lab.host(1), lab.host(2)];
  await first.run(['ip', 'address', 'flush', 'dev', 'eth0']);
  await first.weft(['up']);
  assert.deepEqual((await first.status()).listen.advertised, []);
  await first.run(['ip', 'address', 'add', `${first.address}/24`, 'dev', 'eth0']);
  await until('the address', async () => (await first.status()).listen.advertised.length > 0, 5_000);
  await second.weft(['join', tokenIn((await first.weft(['invite'])).stdout)]);
  await converged(lab.hosts);
});
