/*
 * A TUN device that outlives its daemon and names no owner is anybody's (tun_not_capable() of the kernel), and /dev/net/tun is open to
 * all on Debian: while weftd restarts, a local user could read what containers say and speak in any peer's name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from '../hosts/log.ts';
import { createNamespaces, needsRoot } from '../hosts/namespaces.ts';

/** As a user, TUNSETIFF on a device: the exit code is 0 when it succeeds. IFF_TUN, IFF_NO_PI, IFF_VNET_HDR: as the data path opens it. */
const OPEN = `
my ($user, $device) = @ARGV;
open(my $tun, '+<', '/dev/net/tun') or die "open: $!";
if ($user) { $) = "$user $user"; $( = $user; $< = $> = $user; $> == $user or die "user: $!" }
ioctl($tun, 0x400454ca, my $request = pack('a16 s x22', $device, 0x0001 | 0x1000 | 0x4000)) or die "TUNSETIFF: $!\\n";
`;
const NOBODY = '65534';

test('between two lives of the daemon no other user can open the device', { skip: needsRoot }, async () => {
  const net = await createNamespaces();
  try {
    const host = createLinuxHost({ stateDirectory: net.stateDirectory, netns: net.hostPath, log: silentLog });
    await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
    const open = (user: string, device: string) => net.run('host', 'perl', '-e', OPEN, user, device);
    await assert.rejects(open(NOBODY, 'weft0'), /TUNSETIFF: Operation not permitted/);
    await open('0', 'weft0');
    await net.run('host', 'ip', 'tuntap', 'add', 'dev', 'anyones', 'mode', 'tun', 'vnet_hdr');
    await open(NOBODY, 'anyones');
  } finally {
    await net.close();
  }
});
