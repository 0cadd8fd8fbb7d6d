/*
 * How src/host/ sets features of links and counts what comes by them, next to what ethtool and ip say, in two namespaces.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setFeatures } from '../../src/host/link-features.ts';
import { hostNamespace } from '../../src/host/namespace.ts';
import { readReceived } from '../../src/host/received.ts';
import { createNamespaces, type Namespaces, needsRoot } from '../hosts/namespaces.ts';

describe('features of links', { skip: needsRoot }, () => {
  let net: Namespaces;
  let sandbox: string;
  before(async () => {
    net = await createNamespaces();
    sandbox = await net.add('inside');
  });
  after(() => net.close());
  const ip = (...words: string[]) => net.run('host', 'ip', ...words);
  const host = () => hostNamespace(net.hostPath);

  test('they are set as ethtool names them, and what is missing is refused and named', async () => {
    await ip('link', 'add', 'weft-able', 'type', 'veth', 'peer', 'name', 'weft-other');
    const on = async () => {
      const text = await net.run('host', 'ethtool', '-k', 'weft-able');
      const features = ['generic-receive-offload', 'tx-udp-segmentation'];
      return features.map((feature) => new RegExp(`^\\s*${feature}: on`, 'm').test(text));
    };
    await setFeatures(host(), 'weft-able', { 'rx-gro': true, 'tx-udp-segmentation': false });
    assert.deepEqual(await on(), [true, false]);
    await setFeatures(host(), 'weft-able', { 'tx-udp-segmentation': true });
    assert.deepEqual(await on(), [true, true]);
    await ip('link', 'del', 'weft-able');
    await assert.rejects(setFeatures(host(), 'weft-able', { 'rx-gro': true }), /weft-able: ENODEV/);
    await assert.rejects(setFeatures(host(), 'lo', { 'rx-telepathy': true }), /features of the link lo/);
  });

  test('packets that containers have sent are counted by the links of our group alone', async () => {
    const link = 'wftaaaaaaaaaaaa';
    const pair = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', sandbox];
    await ip('link', 'add', 'weft-other', 'type', 'veth', 'peer', 'name', 'weft-third');
    await ip('link', 'add', link, 'group', '173', ...pair);
    assert.deepEqual(await readReceived(host()), new Map([[link, { packets: 0, bytes: 0 }]]));
    await ip('link', 'set', link, 'up');
    await net.run(sandbox, 'ip', 'address', 'add', '192.0.2.9/24', 'dev', 'eth0');
    await net.run(sandbox, 'ip', 'link', 'set', 'eth0', 'up');
    const ping = ['ping', '-q', '-c', '3', '-i', '0.01', '-W', '0.1', '192.0.2.1'];
    await net.run(sandbox, ...ping).catch(() => 'nobody answers');
    const [{ stats64 }] = JSON.parse(await ip('-j', '-s', 'link', 'show', link));
    const { packets, bytes } = (await readReceived(host())).get(link) ?? { packets: 0, bytes: 0 };
    assert.ok(stats64.rx.packets > 0 && packets >= stats64.rx.packets, `${packets} of ${stats64.rx.packets}`);
    assert.ok(bytes >= stats64.rx.bytes, `${bytes} of ${stats64.rx.bytes}`);
  });
});
