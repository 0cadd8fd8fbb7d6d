import { plain, vxlan } from './kernel.ts';
import { nebula } from './nebula.ts';
import { openvpn } from './openvpn.ts';
import type { Connect } from './system.ts';
import { tinc } from './tinc.ts';
import { weft } from './weft.ts';
import { weftVxlan } from './weft-vxlan.ts';
import { wireguard } from './wireguard.ts';

export interface System {
  /** What people call it. */
  readonly title: string;
  readonly encrypted: boolean;
  readonly connect: Connect;
}

/** By the name that `--systems` takes; in the order of tables and plots. */
export const SYSTEMS: Readonly<Record<string, System>> = {
  raw: { title: 'no tunnel', encrypted: false, connect: plain },
  vxlan: { title: 'kernel VXLAN', encrypted: false, connect: vxlan },
  'weft-vxlan': { title: 'Weft, trusted link', encrypted: false, connect: weftVxlan },
  weft: { title: 'Weft', encrypted: true, connect: weft },
  nebula: { title: 'nebula', encrypted: true, connect: nebula },
  wireguard: { title: 'wireguard-go', encrypted: true, connect: wireguard },
  openvpn: { title: 'openvpn', encrypted: true, connect: openvpn },
  tinc: { title: 'tinc', encrypted: true, connect: tinc },
};
