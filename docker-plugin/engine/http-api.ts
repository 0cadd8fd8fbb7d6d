import type { Clock } from '../../src/ports/clock.ts';
import { type DockerApi, DockerError, type DockerEvent } from './api.ts';
import {
  parse,
  readContainerDetail,
  readContainers,
  readCreated,
  readEvent,
  readMessage,
  readNetworkDetail,
  readNetworks,
} from './decode.ts';
import { type Answer, createDockerHttp, type Question } from './http.ts';

const ACTIONS = ['create', 'start', 'die', 'destroy', 'rename', 'connect', 'disconnect'];
const EVENTS = `/events?filters=${encodeURIComponent(JSON.stringify({ type: ['network', 'container'], event: ACTIONS }))}`;

/** The engine that listens on `socket`. No version in the paths: every release from 20.10 on answers in a shape of its own that fits. */
export function createDockerApi(parts: {
  readonly socket: string;
  /** Of the networks that it makes. */
  readonly driver: string;
  readonly clock: Clock;
}): DockerApi {
  const { driver } = parts;
  const http = createDockerHttp(parts);

  /** Undefined for 404. */
  async function find(path: string): Promise<unknown> {
    const answer = await http.ask({ method: 'GET', path });
    if (answer.status === 404) return undefined;
    return parse(wanted(answer, `GET ${path}`).text);
  }

  async function change(question: Question): Promise<Answer> {
    return wanted(await http.ask(question), `${question.method} ${question.path}`);
  }

  return {
    networks: async () => readNetworks(await find('/networks')),
    async network(id) {
      const found = await find(`/networks/${encodeURIComponent(id)}`);
      return found === undefined ? undefined : readNetworkDetail(found);
    },
    async createNetwork({ name, subnet, internal, options }) {
      const body = {
        Name: name,
        CheckDuplicate: true,
        Driver: driver,
        Internal: internal,
        IPAM: { Driver: driver, Options: options, Config: [{ Subnet: subnet }] },
        Options: options,
      };
      const { text } = await change({ method: 'POST', path: '/networks/create', body });
      return readCreated(parse(text));
    },
    async removeNetwork(id) {
      await change({ method: 'DELETE', path: `/networks/${encodeURIComponent(id)}` });
    },
    containers: async () => readContainers(await find('/containers/json?all=1')),
    async container(id) {
      const found = await find(`/containers/${encodeURIComponent(id)}/json`);
      return found === undefined ? undefined : readContainerDetail(found);
    },
    async start(container) {
      await change({ method: 'POST', path: `/containers/${encodeURIComponent(container)}/start` });
    },
    async disconnect(network, container) {
      const path = `/networks/${encodeURIComponent(network)}/disconnect`;
      await change({ method: 'POST', path, body: { Container: container, Force: true } });
    },
    follow: ({ onOpen, onEvent }, signal) =>
      http.stream(EVENTS, { onOpen, onLine: (line) => deliver(line, onEvent) }, signal),
    close: () => http.close(),
  };
}

/** One odd line is no reason to lose the others. */
function deliver(line: string, onEvent: (event: DockerEvent) => void): void {
  let event: DockerEvent | undefined;
  try {
    event = readEvent(parse(line));
  } catch (error) {
    if (!(error instanceof DockerError)) throw error;
  }
  if (event !== undefined) onEvent(event);
}

/** The answer of a success, or of a command that is met already: a removal of what is gone, a start of what runs (304). Status codes: Docker Engine API, /networks. */
function wanted(answer: Answer, what: string): Answer {
  const { status, text } = answer;
  const isGone = status === 404 && /^(DELETE|POST .*\/(disconnect|start)$)/.test(what);
  if ((status >= 200 && status < 300) || status === 304 || isGone) return answer;
  const message = readMessage(text) || `status ${status}`;
  if (status === 409) throw new DockerError('name-taken', message);
  if (status === 403 && what.startsWith('DELETE')) throw new DockerError('in-use', message);
  throw new DockerError('refused', `${what}: ${message}`);
}
