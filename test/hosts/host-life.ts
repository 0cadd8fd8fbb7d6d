/** One life of a host for host-killed.test.ts: node host-life.ts HOST-PATH STATE-DIRECTORY SANDBOX; path '': where it runs. */
import type { EndpointId } from '../../src/core/ids.ts';
import { createLinuxHost } from '../../src/host/linux.ts';
import { silentLog } from './log.ts';

const [netns = '', stateDirectory = '', sandbox = ''] = process.argv.slice(2);
const where = netns === '' ? {} : { netns };
const host = createLinuxHost({ ...where, stateDirectory, log: silentLog });
await host.prepare({ device: 'weft0', range: '10.32.0.0/12', mtu: 1400 });
await host.plug({ endpoint: 'a' as EndpointId, sandbox, address: '10.32.0.5/12', mtu: 1400 });
await host.setHostAddresses([{ address: '10.32.0.9/12' }]);
await host.setHostAddresses([]);
await host.unplug('a' as EndpointId);
