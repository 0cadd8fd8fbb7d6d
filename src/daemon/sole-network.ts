import type { NetworkInfo, Networks } from '../../docker-plugin/parts.ts';
import { DEFAULT_NETWORK } from '../core/ids.ts';
import { ControlError } from '../doors/errors.ts';

/** For Docker, a mesh with the range `subnet` and the one network that every mesh has. */
export function soleNetwork(subnet: string): Networks {
  const none = { internal: false, gateway: null, reserved: [], ipRange: null };
  const weft: NetworkInfo = { id: DEFAULT_NETWORK, name: DEFAULT_NETWORK, subnet, ...none };
  const only = async () => {
    throw new ControlError('bad-request', `the mesh has one network: give --subnet ${subnet}`);
  };
  return {
    list: () => [weft],
    get: (id) => (id === DEFAULT_NETWORK ? weft : undefined),
    create: only,
    change: only,
    remove: only,
  };
}
