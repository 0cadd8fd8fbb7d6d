import { formatHostPort, parseCidr, parseHostPort, parseIp } from '../core/address.ts';
import { parseBlock } from '../core/blocks.ts';
import type { LogLevel } from '../ports/log.ts';
import { LOG_LEVELS } from './logger.ts';

/** Everything that can be set, wherever from. Paths are absolute. */
export interface Config {
  readonly nickname: string;
  /** Folder of the state file, the pid file and the log. */
  readonly state: string;
  readonly socket: string;
  /** CIDR of a mesh that is made here; a mesh that is joined brings its own. */
  readonly range: string;
  /** TCP of the control plane and UDP of the data path. */
  readonly port: number;
  /** IP address that both bind; `::` takes IPv4 and IPv6. */
  readonly listen: string;
  /** `host:port` that others are told to dial; empty: found out from the interfaces. */
  readonly advertise: readonly string[];
  readonly device: string;
  /** CIDR blocks of underlay addresses to which packets may go without encryption. */
  readonly trustedSubnets: readonly string[];
  /** Of the VXLAN device, for those. */
  readonly vxlanPort: number;
  readonly vxlanVni: number;
  /** Bytes of an inner packet; null: from the underlay's. */
  readonly mtu: number | null;
  /** Whether packets inside the mesh may go past the machine's firewall and routing (host/shortcut.ts). */
  readonly shortcut: boolean;
  /** Whether this host carries packets between others that do not reach each other. */
  readonly relay: boolean;
  /** Whether Docker shall find this daemon; `auto`: where Docker is installed. */
  readonly docker: 'auto' | 'on' | 'off';
  readonly dockerSocket: string;
  readonly dockerEngine: string;
  /** The driver's name in Docker. */
  readonly dockerDriver: string;
  /** Whether each engine has networks of its own, or a swarm has them. */
  readonly dockerScope: 'local' | 'global';
  /** Token of a mesh to join at a start in none; null: none. */
  readonly join: string | null;
  readonly logLevel: LogLevel;
}

export type OptionName =
  | 'nickname'
  | 'state'
  | 'socket'
  | 'range'
  | 'port'
  | 'listen'
  | 'advertise'
  | 'device'
  | 'trusted-subnets'
  | 'vxlan-port'
  | 'vxlan-vni'
  | 'mtu'
  | 'shortcut'
  | 'relay'
  | 'docker'
  | 'docker-socket'
  | 'docker-engine'
  | 'docker-driver'
  | 'docker-scope'
  | 'join'
  | 'log-level';

/** Checked text of each option, before `advertise` has been given the port. */
export interface Option {
  readonly name: OptionName;
  /** What stands for the value in help. */
  readonly value: string;
  readonly help: string;
  /** Undefined: no fixed default. */
  readonly initial?: string;
  /** May be given several times, or with commas. */
  readonly many?: boolean;
  /** A sentence's end that says what the value must be; undefined when it is good. */
  problem(value: string): string | undefined;
}

/** Refused because nothing on a network can have an address there. */
const UNUSABLE: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', '"this" network'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/3', 'multicast and reserved'],
];
/** sun_path holds 108 bytes with its final zero (unix(7)). */
const MAX_SOCKET_PATH = 107;

export const OPTIONS: readonly Option[] = [
  {
    name: 'nickname',
    value: 'NAME',
    help: 'what this host is called in status (default: its host name)',
    problem: (value) =>
      /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value)
        ? undefined
        : 'at most 63 letters, digits, dots, dashes and underscores',
  },
  {
    name: 'state',
    value: 'DIR',
    help: 'folder for keys, addresses and the log',
    initial: '/var/lib/weft',
    problem: path,
  },
  {
    name: 'socket',
    value: 'PATH',
    help: 'unix socket that the daemon listens on for weft',
    initial: '/run/weft/weft.sock',
    problem: socketPath,
  },
  {
    name: 'range',
    value: 'CIDR',
    help: 'addresses of a mesh that is made here; a mesh that is joined has its own',
    initial: '10.32.0.0/12',
    problem: range,
  },
  {
    name: 'port',
    value: 'PORT',
    help: 'TCP and UDP port for the other hosts',
    initial: '6783',
    problem: (value) => integer(value, 1, 65_535),
  },
  {
    name: 'listen',
    value: 'IP',
    help: 'address to listen on; :: takes IPv4 and IPv6',
    initial: '::',
    problem: (value) => (parseIp(value).ok ? undefined : 'an IPv4 or IPv6 address of this host, or ::'),
  },
  {
    name: 'advertise',
    value: 'HOST[:PORT]',
    help: 'address that other hosts are told to dial, instead of those of the interfaces; may be repeated',
    many: true,
    problem: advertised,
  },
  {
    name: 'device',
    value: 'NAME',
    help: 'name of the network device',
    initial: 'weft0',
    problem: (value) =>
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(value) &&
      value !== 'lo' &&
      value !== 'all' &&
      value !== 'default'
        ? undefined
        : 'an interface name of at most 15 letters, digits, dots, dashes and underscores',
  },
  {
    name: 'trusted-subnets',
    value: 'CIDR',
    help: 'hosts there get packets without encryption, by VXLAN, when they trust this one as well; may be repeated',
    many: true,
    problem: (value) => {
      const parsed = parseBlock(value);
      return parsed.ok
        ? undefined
        : `a block of addresses such as 192.168.1.0/24 or 2001:db8::/64: ${parsed.message}`;
    },
  },
  {
    name: 'vxlan-port',
    value: 'PORT',
    help: 'UDP port of VXLAN between hosts that trust each other, the same on all',
    initial: '4789',
    problem: (value) => integer(value, 1, 65_535),
  },
  {
    name: 'vxlan-vni',
    value: 'NUMBER',
    help: 'number of the VXLAN network, the same on all hosts and used by nobody else',
    initial: '7824742',
    problem: (value) => integer(value, 1, 16_777_215),
  },
  {
    name: 'mtu',
    value: 'BYTES',
    help: 'largest packet that containers may send (default: what fits into the way between the hosts)',
    problem: (value) => integer(value, 576, 65_000),
  },
  {
    name: 'shortcut',
    value: 'on|off',
    help: "hand packets from the mesh to the mesh over directly (eBPF), past this host's own firewall and routing",
    initial: 'on',
    problem: onOff,
  },
  {
    name: 'relay',
    value: 'on|off',
    help: 'carry packets, unread, between other hosts that do not reach each other directly',
    initial: 'on',
    problem: onOff,
  },
  {
    name: 'docker',
    value: 'auto|on|off',
    help: 'be a network driver of Docker: auto does so where Docker is installed',
    initial: 'auto',
    problem: (value) => (['auto', 'on', 'off'].includes(value) ? undefined : 'auto, on or off'),
  },
  {
    name: 'docker-socket',
    value: 'PATH',
    help: 'unix socket by which Docker finds the driver weft',
    initial: '/run/docker/plugins/weft.sock',
    problem: socketPath,
  },
  {
    name: 'docker-engine',
    value: 'PATH',
    help: 'unix socket that the Docker engine listens on',
    initial: '/run/docker.sock',
    problem: socketPath,
  },
  {
    name: 'docker-driver',
    value: 'NAME',
    help: 'what the driver is called in Docker: a managed plugin has its tag in its name',
    initial: 'weft',
    problem: (value) =>
      /^[A-Za-z0-9][A-Za-z0-9_./:-]{0,127}$/.test(value) ? undefined : 'a name as in `docker plugin ls`',
  },
  {
    name: 'docker-scope',
    value: 'local|global',
    help: 'global: networks are made by the managers of a swarm, which takes the managed plugin',
    initial: 'local',
    problem: (value) => (['local', 'global'].includes(value) ? undefined : 'local or global'),
  },
  {
    name: 'join',
    value: 'TOKEN',
    help: 'token of `weft invite`: a daemon that starts in no mesh joins that one by itself',
    problem: (value) => (/^wf1_[\w-]{1,4096}$/.test(value) ? undefined : 'what `weft invite` printed, wf1_…'),
  },
  {
    name: 'log-level',
    value: 'LEVEL',
    help: `${LOG_LEVELS.join(', ')}`,
    initial: 'info',
    problem: (value) =>
      (LOG_LEVELS as readonly string[]).includes(value) ? undefined : `one of ${LOG_LEVELS.join(', ')}`,
  },
];

function onOff(value: string): string | undefined {
  return ['on', 'off'].includes(value) ? undefined : 'on or off';
}

function path(value: string): string | undefined {
  const good = /^\/[\x21-\x7e][\x20-\x7e]*$/.test(value) && !/(^|\/)\.\.?(\/|$)/.test(value);
  return good ? undefined : 'an absolute path without . and ..';
}

function socketPath(value: string): string | undefined {
  const long = Buffer.byteLength(value) > MAX_SOCKET_PATH;
  return path(value) ?? (long ? `at most ${MAX_SOCKET_PATH} bytes long` : undefined);
}

function integer(value: string, least: number, most: number): string | undefined {
  const good = /^(0|[1-9][0-9]{0,7})$/.test(value) && Number(value) >= least && Number(value) <= most;
  return good ? undefined : `a whole number from ${least} to ${most}`;
}

function range(value: string): string | undefined {
  const parsed = parseCidr(value);
  if (!parsed.ok) return `a block of IPv4 addresses such as 10.32.0.0/12: ${parsed.message}`;
  if (parsed.value.prefix < 8 || parsed.value.prefix > 29) return 'from /8 to /29 in size';
  for (const [block, meaning] of UNUSABLE) {
    const other = parseCidr(block);
    if (other.ok && parsed.value.start <= other.value.last && parsed.value.last >= other.value.start) {
      return `outside ${block}, which is for ${meaning} addresses`;
    }
  }
  return undefined;
}

function advertised(value: string): string | undefined {
  const parsed = parseHostPort(value, 1);
  if (!parsed.ok) return `HOST or HOST:PORT: ${parsed.message}`;
  if (parsed.value.port === 0) return 'with a port other than 0';
  return ['0.0.0.0', '::'].includes(parsed.value.host) ? 'an address that others can dial' : undefined;
}

/** `values` are checked and complete but for the options without a default. */
export function toConfig(values: ReadonlyMap<OptionName, readonly string[]>, nickname: string): Config {
  const one = (name: OptionName) => values.get(name)?.at(-1);
  const must = (name: OptionName) =>
    one(name) ?? OPTIONS.find((option) => option.name === name)?.initial ?? '';
  const port = Number(must('port'));
  const mtu = one('mtu');
  return {
    nickname: one('nickname') ?? nickname,
    state: must('state').replace(/(?<=.)\/+$/, ''),
    socket: must('socket'),
    range: must('range'),
    port,
    listen: must('listen'),
    advertise: (values.get('advertise') ?? []).flatMap((text) => {
      const parsed = parseHostPort(text, port);
      return parsed.ok ? [formatHostPort(parsed.value.host, parsed.value.port)] : [];
    }),
    device: must('device'),
    trustedSubnets: values.get('trusted-subnets') ?? [],
    vxlanPort: Number(must('vxlan-port')),
    vxlanVni: Number(must('vxlan-vni')),
    mtu: mtu === undefined ? null : Number(mtu),
    shortcut: must('shortcut') === 'on',
    relay: must('relay') === 'on',
    docker: must('docker') as Config['docker'],
    dockerSocket: must('docker-socket'),
    dockerEngine: must('docker-engine'),
    dockerDriver: must('docker-driver'),
    dockerScope: must('docker-scope') as Config['dockerScope'],
    join: one('join') ?? null,
    logLevel: must('log-level') as LogLevel,
  };
}
