import type {
  Cleaned,
  ControlLinkStatus,
  EndpointStatus,
  Invitation,
  IpamStatus,
  PathStatus,
  PathsStatus,
  PeerStatus,
  SessionStatus,
  Started,
  Status,
  Stopped,
  TrustStatus,
  Warning,
} from '../doors/control.ts';
import type { RelayStatus } from '../doors/mesh-status.ts';
import {
  clean,
  formatBytes,
  formatCount,
  formatDuration,
  formatPlural,
  formatShare,
  formatTable,
} from './format.ts';
import { renderNetworks } from './render-networks.ts';

/** Text of what the API answered: each function sees nothing but the object that `--json` prints. */

export function renderStatus(status: Status): string {
  const rows: (readonly [string, string])[] = [
    ['peer', `${status.nickname}${status.peer === null ? '' : ` ${status.peer}`}`],
    [
      'daemon',
      `weftd ${status.version}, ${status.phase.state}: ${status.phase.text}, for ${formatDuration(status.uptime)}`,
    ],
    ['mesh', renderMesh(status)],
    ['listens', renderListen(status)],
  ];
  if (status.device !== null) rows.push(['device', `${status.device.name}, MTU ${status.device.mtu}`]);
  if (status.ipam !== null) rows.push(['addresses', renderShare(status.ipam)]);
  rows.push(['endpoints', formatCount(status.endpoints.length)]);
  rows.push(['traffic', renderTraffic(status.traffic)]);
  const drops = Object.entries(status.drops).filter(([, count]) => count > 0);
  if (drops.length > 0) {
    rows.push(['drops', drops.map(([reason, count]) => `${reason} ${formatCount(count)}`).join(', ')]);
  }
  rows.push(['state', `${status.state.path} (${renderGeneration(status)})`]);
  const facts = rows.map(([name, value]) => `${name.padStart(10)}  ${clean(value)}\n`).join('');
  const peers = status.peers.length === 0 ? '' : `\n${renderPeerSummary(status.peers)}`;
  return facts + peers + renderWarnings(status.warnings);
}

function renderMesh(status: Status): string {
  if (status.mesh === null) return 'none: run `weft up` to make one, or `weft join TOKEN`';
  const up = status.peers.filter((peer) => peer.state === 'up').length;
  const down = status.peers.length - up;
  const others = `${formatPlural(up, 'other peer')} up${down === 0 ? '' : `, ${formatCount(down)} down`}`;
  return `${status.mesh.id.slice(0, 16)} over ${status.mesh.range}${status.mesh.creator ? ', made here' : ''}${status.mesh.encryption ? '' : ', without encryption'}; ${others}`;
}

function renderListen({ listen }: Status): string {
  const control = listen.control.map((address) => `${address}/tcp`);
  const data = listen.data.map((address) => `${address}/udp`);
  const advertised = listen.advertised.length === 0 ? '' : `; others dial ${listen.advertised.join(' ')}`;
  return `${[...control, ...data].join(' ') || 'nowhere'}${advertised}`;
}

function renderShare(ipam: IpamStatus): string {
  const own = ipam.allocated + ipam.free;
  const disputes =
    ipam.disputes.length === 0 ? '' : `; ${formatPlural(ipam.disputes.length, 'range')} in dispute`;
  return `${formatCount(own)} here (${formatShare(own, ipam.total)}), ${formatCount(ipam.allocated)} in use${disputes}`;
}

function renderTraffic(traffic: Status['traffic']): string {
  return `sent ${formatBytes(traffic.sentBytes)}, received ${formatBytes(traffic.receivedBytes)}, dropped ${formatPlural(traffic.dropped, 'packet')}`;
}

function renderGeneration({ state }: Status): string {
  const words = { new: 'new', current: 'as it was left', previous: 'PREVIOUS GENERATION' }[state.generation];
  return state.note === null ? words : `${words}: ${state.note}`;
}

function renderPeerSummary(peers: readonly PeerStatus[]): string {
  return formatTable(
    ['PEER', 'STATE', 'CONTROL', 'PATH', 'SENT', 'RECEIVED', 'NOTE'],
    peers.map((peer) => [
      labelOf(peer, peers),
      peer.state,
      renderControlState(peer.control),
      renderPath(peer.path),
      formatBytes(peer.traffic.sentBytes),
      formatBytes(peer.traffic.receivedBytes),
      peer.lastError ?? '',
    ]),
  );
}

/** Two hosts of one name are told apart by the ends of their ids, which other commands take, too. */
function labelOf(
  { nickname, id }: { readonly nickname: string; readonly id: string },
  all: readonly { readonly nickname: string }[],
): string {
  const alike = all.filter((other) => other.nickname === nickname).length;
  return alike > 1 ? `${nickname} …${id.slice(-8)}` : nickname;
}

function renderControlState(control: ControlLinkStatus): string {
  if (control.state === 'forwarded')
    return control.hops === null ? 'forwarded' : `forwarded, ${control.hops} hops`;
  return control.state;
}

function renderPath(path: PathStatus): string {
  const way = path.endpoint === null ? path.kind : `${path.kind} ${path.endpoint}`;
  return path.by === null ? way : `${way} via ${path.by}`;
}

function renderSession(session: SessionStatus | null): string {
  return session === null ? '-' : `${session.epoch} ${session.suite} ${formatDuration(session.age)}`;
}

export function renderWarnings(warnings: readonly Warning[]): string {
  if (warnings.length === 0) return '';
  const lines = warnings.map(
    ({ severity, code, text, remedy }) =>
      `${severity}: ${clean(text)} [${clean(code)}]\n  → ${clean(remedy)}\n`,
  );
  return `\n${lines.join('')}`;
}

export function renderPeers({ peers }: { peers: readonly PeerStatus[] }): string {
  if (peers.length === 0) return 'No other peers. `weft invite` prints the line that lets a host in.\n';
  return formatTable(
    ['PEER', 'STATE', 'VERSION', 'PATH', 'SESSION', 'SENT', 'RECEIVED', 'DROPPED', 'ID', 'NOTE'],
    peers.map((peer) => [
      labelOf(peer, peers),
      peer.state,
      peer.version ?? '-',
      renderPath(peer.path),
      renderSession(peer.session),
      formatBytes(peer.traffic.sentBytes),
      formatBytes(peer.traffic.receivedBytes),
      formatCount(peer.traffic.dropped),
      peer.id,
      peer.lastError ?? '',
    ]),
  );
}

export function renderPaths({ paths, relay }: PathsStatus): string {
  if (paths.length === 0) return 'No paths, for there are no other peers.\n';
  const table = formatTable(
    ['PEER', 'PATH', 'MTU', 'LOSS', 'RTT', 'SENT', 'RECEIVED', 'WHY NOT BETTER'],
    paths.map((path) => [
      labelOf(path, paths),
      renderPath(path),
      String(path.mtu),
      path.loss === null ? '-' : `${(100 * path.loss).toFixed(0)} %`,
      path.roundTrip === null ? '-' : `${path.roundTrip.toFixed(1)} ms`,
      formatBytes(path.sentBytes),
      formatBytes(path.receivedBytes),
      path.reason ?? '',
    ]),
  );
  return `${table}${renderRelay(relay)}`;
}

/** Nothing where nothing was carried. */
function renderRelay(relay: RelayStatus | null): string {
  if (relay === null || relay.pairs + relay.bytes === 0) return '';
  const pairs = `${relay.pairs} ${relay.pairs === 1 ? 'pair' : 'pairs'} of other hosts`;
  return `\nThis host relays for ${pairs}: ${formatBytes(relay.bytes)} so far.\n`;
}

export function renderTrust({ everywhere, subnets }: TrustStatus): string {
  const all = everywhere ? 'This mesh was made without encryption: every link is trusted.\n' : '';
  if (subnets.length === 0) return all || 'No link is trusted: all packets between hosts are encrypted.\n';
  return `${all}${formatTable(
    ['TRUSTED', 'FROM'],
    subnets.map(({ subnet, from }) => [subnet, from === 'command' ? 'weft trust' : 'configuration']),
  )}`;
}

export function renderConnections({ connections }: { connections: readonly Connection[] }): string {
  if (connections.length === 0) return 'No connections, for there are no other peers.\n';
  return formatTable(
    ['', 'ADDRESS', 'STATE', 'HOPS', 'PEER', 'ID', 'NOTE'],
    connections.map((one) => [
      { dialled: '->', accepted: '<-', none: '' }[one.direction ?? 'none'],
      one.address ?? '-',
      one.state,
      one.hops === null ? '-' : String(one.hops),
      one.nickname,
      one.id,
      one.lastError ?? '',
    ]),
  );
}

export interface Connection extends ControlLinkStatus {
  readonly nickname: string;
  readonly id: string;
  readonly lastError: string | null;
}

export function renderIpam({ ipam, networks }: Pick<Status, 'ipam' | 'networks'>): string {
  if (ipam === null)
    return 'No addresses, for this host is in no mesh: run `weft up` or `weft join TOKEN`.\n';
  const owners = formatTable(
    ['PEER', 'STATE', 'ADDRESSES', 'SHARE', 'FREE', 'ID'],
    ipam.owners.map((owner) => [
      labelOf({ nickname: owner.nickname, id: owner.peer }, ipam.owners),
      owner.state,
      formatCount(owner.addresses),
      formatShare(owner.addresses, ipam.total),
      owner.free === null ? '-' : formatCount(owner.free),
      owner.peer,
    ]),
  );
  const own = formatTable(
    ['OWN RANGE', 'ADDRESSES', 'NETWORK'],
    ipam.own.map((range) => [`${range.start}-${range.last}`, formatCount(range.size), range.network]),
  );
  const lines = [
    `${formatPlural(ipam.total, 'address', 'addresses')} in ${ipam.range}; here ${formatCount(ipam.allocated)} in use, ${formatCount(ipam.free)} free\n\n`,
    owners,
    `\n${own}`,
    `\n${renderNetworks({ networks })}`,
    ...ipam.disputes.map((dispute) =>
      clean(`disputed: ${dispute.start}-${dispute.last} ${dispute.text}`).concat('\n'),
    ),
    ...ipam.waiting.map((text) => clean(`waiting: ${text}`).concat('\n')),
  ];
  return lines.join('');
}

export function renderEndpoints({ endpoints }: { endpoints: readonly EndpointStatus[] }): string {
  if (endpoints.length === 0)
    return 'No endpoints. `weft attach NETNS` gives a network namespace an address.\n';
  return formatTable(
    ['ID', 'NAME', 'ADDRESS', 'NETWORK', 'SANDBOX', 'INTERFACE', 'MAC', 'HOST LINK', 'STATE'],
    endpoints.map((one) => [
      one.id.slice(0, 12),
      one.name ?? '-',
      `${one.address}/${one.prefix}`,
      one.network,
      one.kind === 'host' ? '(this host)' : (one.sandbox ?? '-'),
      one.interface === '' ? '-' : one.interface,
      one.mac ?? '-',
      one.hostLink ?? '-',
      one.up ? 'up' : 'down',
    ]),
  );
}

function nameOf(endpoint: EndpointStatus): string {
  const place = endpoint.kind === 'host' ? 'this host' : (endpoint.sandbox ?? 'the sandbox');
  return clean(`${endpoint.interface} of ${place}${endpoint.name === null ? '' : ` (${endpoint.name})`}`);
}

export function renderAttached(endpoint: EndpointStatus): string {
  return `${endpoint.address}/${endpoint.prefix} on ${nameOf(endpoint)}, endpoint ${endpoint.id.slice(0, 12)}\n`;
}

export function renderDetached(endpoint: EndpointStatus): string {
  return `${endpoint.address}/${endpoint.prefix} taken from ${nameOf(endpoint)}\n`;
}

export function renderHidden({ endpoints }: { endpoints: readonly EndpointStatus[] }): string {
  return endpoints.map(renderDetached).join('') || 'This host had no address in the mesh.\n';
}

export function renderInvitation(invitation: Invitation): string {
  const hosts = formatPlural(invitation.uses, 'host');
  return (
    `On ${invitation.uses === 1 ? 'the next host' : 'each next host'}, paste:\n\n  weft join ${invitation.token}\n\n` +
    `The token lets ${hosts} in, for ${formatDuration(invitation.ttl)}, and tells to dial ${invitation.addresses.join(' ')}.\n`
  );
}

export interface UpData extends Started {
  /** Whether this call started the daemon. */
  readonly started: boolean;
  readonly invitation: Invitation | null;
}

export function renderUp(data: UpData): string {
  const { status } = data;
  if (data.invitation !== null) {
    return `Made a mesh over ${status.mesh?.range}; this host, ${clean(status.nickname)}, is its first peer.\n\n${renderInvitation(data.invitation)}\nOnce: keep what \`weft root export\` prints in a safe place; without it, losing the first two hosts cannot be repaired.\n`;
  }
  const what = data.created ? 'Made a mesh' : data.started ? 'Resumed' : 'Running already';
  const warnings = renderWarnings(status.warnings);
  return `${what}: ${clean(status.nickname)} in mesh ${renderMesh(status)}.\n\`weft invite\` lets another host in.\n${warnings}`;
}

export function renderJoin(data: Started): string {
  const { status } = data;
  const what = data.created ? 'Joined' : 'A member already, the token was not used';
  const addresses =
    status.ipam === null ? '' : `\n${clean(status.nickname)} has ${renderShare(status.ipam)}.`;
  return `${what}: mesh ${renderMesh(status)}.${addresses}\n\`weft attach NETNS\` gives a network namespace an address.\n${renderWarnings(status.warnings)}`;
}

export function renderDown(stopped: Stopped): string {
  return `Down: ${formatPlural(stopped.detached, 'endpoint')} detached, the daemon has ended. \`weft up\` brings the same addresses back.\n`;
}

export function renderCleaned({ found, detached }: Cleaned): string {
  if (!found) return 'Nothing to take down: no daemon runs here, and it left nothing on this machine.\n';
  return `Down: no daemon ran here; what it had left is gone, ${formatPlural(detached, 'endpoint')} detached. \`weft up\` brings the same addresses back.\n`;
}

export interface VersionData {
  readonly weft: string;
  /** Null when no daemon answers. */
  readonly weftd: string | null;
}

export function renderVersion(data: VersionData): string {
  return `weft ${data.weft}\nweftd ${data.weftd ?? 'does not run here'}\n`;
}
