import { createAssembler, R0, R1, R2, R3, R6, R7, R8, R9 } from './bpf-assembler.ts';
import {
  ADD_HEADER,
  begin,
  CONTEXT,
  checkPlace,
  count,
  ETHER_IPV4,
  ETHERNET,
  end,
  forward,
  handOver,
  IPV4,
  keepNetwork,
  leave,
  lookUpEndpoint,
  lookUpPrefix,
  lookUpReceiver,
  lookUpSender,
  NEXT,
  OWNER,
  PLACE,
  REDIRECT,
  REDIRECT_PEER,
  readable,
  type ShortcutMaps,
  setMark,
  swapped,
  toEndpoint,
  UDP,
  VERDICT,
  writeHeader,
} from './shortcut-steps.ts';

/**
 * The programs of the shortcut (shortcut.ts). Each looks at a packet that enters the host by one of our links, and either hands it to the link
 * that it would leave by, or lets the kernel go on with it as if there were no program: whatever is unusual goes that way, and so does
 * all that is to be dropped, counted or answered. What a program may hand over:
 *
 *   IPv4 without options, no fragment, no VLAN, meant for this host's Ethernet address, more than one hop left (RFC 1812 §5.3.1)
 *   → from a container: its source belongs to the link that it came by. From another host: by VXLAN, its source belongs to the
 *     host that sent it; what the data path writes has been checked by it
 *   → source and destination in the same network, as the table `inet weft-networks` has it
 *   → no larger than the way takes
 */
const ETHER_IPV6 = 0xdd86;
const IPV6 = 40;
/** First half of fe80::/64, as two words. */
const LINK_LOCAL = [0x000080fe, 0] as const;

/** At a container's link on the host. */
export function containerProgram(maps: ShortcutMaps): Uint8Array {
  const program = createAssembler();
  begin(program, maps, ETHERNET);
  lookUpEndpoint(program, maps, ETHERNET + 12);
  program.if(R0, '==', 0, 'next');
  program.load(32, R1, R0, PLACE.link);
  program.load(32, R2, R6, CONTEXT.link);
  program.if(R1, '!=', [R2], 'next');
  keepNetwork(program, PLACE.network);

  lookUpEndpoint(program, maps, ETHERNET + 16);
  program.if(R0, '==', 0, 'elsewhere');
  program.do(R9, '=', [R0]);
  checkPlace(program);
  forward(program, ETHERNET);
  writeHeader(program);
  handOver(program, REDIRECT_PEER);

  program.label('elsewhere');
  lookUpPrefix(program, maps.ways, ETHERNET + 16);
  program.if(R0, '==', 0, 'next');
  program.do(R9, '=', [R0]);
  checkPlace(program);
  forward(program, ETHERNET);
  writeHeader(program);
  handOver(program, REDIRECT);
  return end(program);
}

/**
 * At the VXLAN device. The table `ip weft_vxlan` has left the sender's address as the packet's mark. Drops what has no such mark, a source
 * that is not the sender's or a destination that is not this host's; what it lets by has `admitted` as its mark.
 */
export function vxlanProgram(maps: ShortcutMaps, admitted: number, probePort: number): Uint8Array {
  const program = createAssembler();
  program.do(R6, '=', [R1]);
  readable(program, ETHERNET + IPV4, 'ipv4');
  program.load(32, R1, R6, CONTEXT.vlan);
  program.if(R1, '!=', 0, 'drop');
  program.load(16, R1, R7, 12);
  program.if(R1, '==', ETHER_IPV6, 'probe');
  program.if(R1, '!=', ETHER_IPV4, 'drop');
  lookUpPrefix(program, maps.owners, ETHERNET + 12);
  program.if(R0, '==', 0, 'drop');
  program.load(32, R8, R6, CONTEXT.mark);
  program.if(R8, '==', 0, 'drop');
  program.load(32, R1, R0, OWNER.underlay);
  program.if(R1, '!=', [R8], 'drop');
  keepNetwork(program, OWNER.network);
  lookUpSender(program, maps);
  program.if(R0, '==', 0, 'uncounted');
  count(program);
  program.label('uncounted');

  program.do(R1, '=', [R6]);
  begin(program, maps, ETHERNET);
  toEndpoint(program, maps, ETHERNET);
  writeHeader(program);
  // Of no meaning inside the container, where somebody else may give marks.
  setMark(program, 0);
  handOver(program, REDIRECT_PEER);

  program.label('next');
  readable(program, ETHERNET + IPV4, 'kernel');
  lookUpPrefix(program, maps.owners, ETHERNET + 16);
  program.if(R0, '==', 0, 'drop');
  program.load(32, R1, R0, OWNER.underlay);
  program.if(R1, '!=', 0, 'drop');
  program.goto('admit');

  program.label('probe');
  readable(program, ETHERNET + IPV6 + 8, 'ipv6');
  program.load(8, R1, R7, ETHERNET + 6);
  program.if(R1, '!=', UDP, 'drop');
  for (const [at, word] of LINK_LOCAL.entries()) {
    program.load(32, R1, R7, ETHERNET + 8 + at * 4);
    program.if(R1, '!=', word, 'drop');
  }
  program.load(16, R1, R7, ETHERNET + IPV6 + 2);
  program.if(R1, '!=', swapped(probePort), 'drop');
  program.load(32, R1, R6, CONTEXT.mark);
  program.if(R1, '==', 0, 'drop');
  program.label('admit');
  setMark(program, admitted);
  leave(program, NEXT);
  program.label('drop');
  leave(program, VERDICT.drop);
  return program.bytes();
}

/** At the exit of the VXLAN device, for all that leaves by it: only counts. */
export function leavingProgram(maps: ShortcutMaps): Uint8Array {
  const program = createAssembler();
  program.do(R6, '=', [R1]);
  readable(program, ETHERNET, 'ethernet');
  program.load(16, R1, R7, 12);
  program.if(R1, '!=', ETHER_IPV4, 'next');
  lookUpReceiver(program, maps);
  program.if(R0, '==', 0, 'next');
  count(program);
  program.goto('next');
  program.label('drop');
  leave(program, VERDICT.drop);
  return end(program);
}

/** At the mesh's TUN device, whose packets have no Ethernet header. */
export function tunnelProgram(maps: ShortcutMaps): Uint8Array {
  const program = createAssembler();
  begin(program, maps, 0);
  lookUpPrefix(program, maps.ways, 12);
  program.if(R0, '==', 0, 'next');
  keepNetwork(program, PLACE.network);
  toEndpoint(program, maps, 0);
  program.do(R1, '=', [R6]);
  program.do(R2, '=', ETHERNET);
  program.do(R3, '=', 0);
  program.call(ADD_HEADER);
  program.if(R0, '!=', 0, 'drop');
  program.load(32, R7, R6, CONTEXT.data);
  program.load(32, R1, R6, CONTEXT.end);
  program.do(R2, '=', [R7]);
  program.do(R2, '+', ETHERNET);
  program.if(R2, '>', [R1], 'drop');
  writeHeader(program);
  handOver(program, REDIRECT_PEER);
  program.label('drop');
  leave(program, VERDICT.drop);
  return end(program);
}
