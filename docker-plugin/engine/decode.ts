import {
  type DockerAttachment,
  type DockerContainer,
  type DockerContainerDetail,
  type DockerEndpoint,
  DockerError,
  type DockerEvent,
  type DockerNetwork,
  type DockerNetworkDetail,
} from './api.ts';

/**
 * What the engine sends, read field by field: a missing or odd field that is needed gives DockerError `bad-answer`, and everything else is
 * left out. Docker sends null for empty lists and maps.
 */
type Fields = Readonly<Record<string, unknown>>;

const RESTARTS: readonly string[] = ['always', 'unless-stopped'];

const MOST_ITEMS = 100_000;
/** Ids, names, addresses, aliases; labels and options may be longer. */
const LONGEST_WORD = 1_024;
const LONGEST_VALUE = 65_536;

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw odd('is not JSON');
  }
}

export function readNetworks(data: unknown): readonly DockerNetwork[] {
  return list(data).map(readNetwork);
}

export function readNetworkDetail(data: unknown): DockerNetworkDetail {
  const endpoints = entries(fields(data).Containers).map(([key, value]) => readEndpoint(key, value));
  return { ...readNetwork(data), endpoints };
}

function readNetwork(data: unknown): DockerNetwork {
  const raw = fields(data);
  const ipam = raw.IPAM === null || raw.IPAM === undefined ? {} : fields(raw.IPAM);
  return {
    id: word(raw.Id),
    name: word(raw.Name),
    driver: word(raw.Driver),
    ipamDriver: ipam.Driver === undefined ? '' : word(ipam.Driver),
    subnets: list(ipam.Config).flatMap((item) => {
      const { Subnet: subnet } = fields(item);
      return typeof subnet === 'string' && subnet !== '' ? [word(subnet)] : [];
    }),
    internal: raw.Internal === true,
    options: texts(raw.Options),
  };
}

/** The key is the container's id, or `ep-` and the endpoint's id where there is no container. */
function readEndpoint(key: string, data: unknown): DockerEndpoint {
  const raw = fields(data);
  return {
    id: word(raw.EndpointID),
    container: key.startsWith('ep-') ? null : word(key),
    name: word(raw.Name),
    address: addressIn(raw.IPv4Address),
  };
}

export function readContainers(data: unknown): readonly DockerContainer[] {
  return list(data).map((item) => {
    const raw = fields(item);
    const settings = raw.NetworkSettings === null ? {} : fields(raw.NetworkSettings ?? {});
    return {
      id: word(raw.Id),
      name: nameOf(list(raw.Names)[0] ?? ''),
      state: word(raw.State),
      networks: entries(settings.Networks).flatMap(([, network]) => present(fields(network).NetworkID)),
    };
  });
}

export function readContainerDetail(data: unknown): DockerContainerDetail {
  const raw = fields(data);
  const config = fields(raw.Config);
  const settings = fields(raw.NetworkSettings);
  const state = fields(raw.State);
  const { RestartPolicy: policy } = fields(raw.HostConfig ?? {});
  return {
    id: word(raw.Id),
    name: nameOf(raw.Name),
    running: state.Running === true,
    error: word(state.Error ?? '', LONGEST_VALUE),
    restarts: RESTARTS.includes(String(fields(policy ?? {}).Name)),
    hostname: word(config.Hostname ?? ''),
    labels: texts(config.Labels),
    attachments: entries(settings.Networks).map(([, network]) => readAttachment(network)),
  };
}

function readAttachment(data: unknown): DockerAttachment {
  const raw = fields(data);
  return {
    network: word(raw.NetworkID),
    endpoint: present(raw.EndpointID)[0] ?? null,
    address: addressIn(raw.IPAddress),
    aliases: list(raw.Aliases).map((alias) => word(alias)),
  };
}

/** Undefined for an event of no interest. */
export function readEvent(data: unknown): DockerEvent | undefined {
  const { Type: type, Action: action, Actor: actor } = fields(data);
  if (type !== 'network' && type !== 'container') return undefined;
  const { ID: id, Attributes: attributes } = fields(actor);
  const about = texts(attributes);
  const [container = null, name = null] = [about.get('container'), about.get('name')];
  return { type, action: word(action), id: word(id), container, name };
}

export function readCreated(data: unknown): string {
  return word(fields(data).Id);
}

/** Docker's own words for a refusal. */
export function readMessage(text: string): string {
  try {
    const { message } = fields(JSON.parse(text));
    return typeof message === 'string' ? message.slice(0, LONGEST_WORD) : '';
  } catch {
    return '';
  }
}

function nameOf(data: unknown): string {
  return word(data).replace(/^\//, '');
}

function addressIn(data: unknown): string | null {
  return present(data)[0]?.split('/')[0] ?? null;
}

/** No item for an absent or empty text. */
function present(data: unknown): readonly string[] {
  return data === undefined || data === null || data === '' ? [] : [word(data)];
}

function fields(data: unknown): Fields {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw odd('has something else for an object');
  return data as Fields;
}

function list(data: unknown): readonly unknown[] {
  if (data === null || data === undefined) return [];
  if (!Array.isArray(data) || data.length > MOST_ITEMS) throw odd('has something else for a list');
  return data;
}

function entries(data: unknown): readonly [string, unknown][] {
  if (data === null || data === undefined) return [];
  const found = Object.entries(fields(data));
  if (found.length > MOST_ITEMS) throw odd('has too many items');
  return found;
}

function texts(data: unknown): ReadonlyMap<string, string> {
  return new Map(entries(data).map(([key, value]) => [word(key), word(value, LONGEST_VALUE)]));
}

function word(data: unknown, longest = LONGEST_WORD): string {
  if (typeof data !== 'string' || data.length > longest) throw odd('has something else for a text');
  return data;
}

function odd(what: string): DockerError {
  return new DockerError('bad-answer', `what Docker answered ${what}`);
}
