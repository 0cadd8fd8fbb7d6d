/**
 * Every error that a door can answer with: stable code → HTTP status, title, what to do. Callers branch on the code, never on text.
 * 4xx: the caller can put it right (the CLI exits with 1); 5xx: the mesh or the machine must (the CLI exits with 3).
 */
export interface ErrorEntry {
  readonly status: number;
  /** The same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
  /** What to do about it, as a sentence without its full stop. */
  readonly remedy: string;
}

export const TABLE = {
  // The request itself.
  'bad-json': { status: 400, title: 'The body is not valid JSON', remedy: 'send one JSON object' },
  'bad-request': {
    status: 400,
    title: 'The request has a bad field',
    remedy: 'correct the named field; `weft help` shows what each command takes',
  },
  'forbidden-origin': {
    status: 403,
    title: 'Requests from web pages are refused',
    remedy: 'use the weft command, or curl --unix-socket, without an Origin header',
  },
  'not-permitted': {
    status: 403,
    title: 'This listener does not permit the request',
    remedy: 'use the unix socket of the daemon as root',
  },
  'no-route': {
    status: 404,
    title: 'There is no such path in the API',
    remedy: 'compare the versions of weft and weftd with `weft version`',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The path does not take this method',
    remedy: 'use a method that the Allow header lists',
  },
  'request-timeout': { status: 408, title: 'The request did not arrive in time', remedy: 'send it again' },
  'body-too-large': { status: 413, title: 'The body is too large', remedy: 'send at most 64 KiB' },
  'not-json': {
    status: 415,
    title: 'The body is not declared as JSON',
    remedy: 'send content-type: application/json',
  },

  // Phases of the daemon.
  'no-mesh': {
    status: 409,
    title: 'This host is in no mesh',
    remedy: 'run `weft up` to make one, or `weft join TOKEN` to join one',
  },
  'other-encryption': {
    status: 409,
    title: 'This host is in a mesh that encrypts, and that stays so for its life',
    remedy: 'leave --no-encryption out; `weft trust add CIDR` lets single links go without',
  },
  'unknown-subnet': {
    status: 404,
    title: 'This block of addresses is not trusted here',
    remedy: 'see `weft trust ls`',
  },
  starting: { status: 503, title: 'The daemon is still starting', remedy: 'wait, and watch `weft status`' },
  stopping: {
    status: 503,
    title: 'The daemon is stopping',
    remedy: 'wait until it is gone, then run `weft up`',
  },
  failed: {
    status: 503,
    title: 'The daemon could not start the network',
    remedy: 'see `weft status`, put it right and run `weft up` again',
  },
  'other-mesh': {
    status: 409,
    title: 'This host is a member of another mesh',
    remedy: 'run `weft down`, move its state folder away, and join again',
  },
  'other-range': {
    status: 409,
    title: 'This mesh has another address range',
    remedy: 'leave --range out; the range of a mesh is chosen once, when it is made',
  },

  // Tokens and joining.
  'bad-token': {
    status: 400,
    title: 'This is not a join token',
    remedy: 'paste the whole line that `weft invite` printed; a token starts with wf1_',
  },
  'wrong-mesh': {
    status: 409,
    title: 'The host that answered belongs to another mesh',
    remedy: 'ask for a new token with `weft invite` on a host of the mesh that you mean',
  },
  'unknown-token': {
    status: 409,
    title: 'The host that answered did not issue this token',
    remedy: 'make a new one with `weft invite`',
  },
  expired: { status: 409, title: 'The token has expired', remedy: 'make a new one with `weft invite`' },
  'used-up': {
    status: 409,
    title: 'The token has been used as often as it may be',
    remedy: 'make a new one with `weft invite`, with --uses N for several hosts',
  },
  removed: {
    status: 409,
    title: 'This host was removed from the mesh',
    remedy:
      'make a token with `weft invite` on a host of the mesh and run `weft join TOKEN` here: it joins as a new host',
  },
  'bad-secret': {
    status: 409,
    title: 'The token is not genuine, or somebody answered in the name of its issuer',
    remedy: 'paste the token again, or make a new one with `weft invite`',
  },
  self: {
    status: 409,
    title: 'The token leads back to this host',
    remedy: 'run `weft join` on the host that shall join, not on the one that invited it',
  },
  'old-epoch': { status: 503, title: 'The keys of the mesh have changed meanwhile', remedy: 'try again' },
  busy: { status: 503, title: 'The host that answered is busy', remedy: 'try again in a few seconds' },
  'join-failed': {
    status: 502,
    title: 'The host that answered could not let this one in',
    remedy: 'see its log, then run the same command again: nothing is lost',
  },
  'too-deep': {
    status: 409,
    title: 'The host that made the token is too many invitations away from the creator of the mesh',
    remedy: 'make a token with `weft invite` on another host',
  },
  unreachable: {
    status: 503,
    title: 'No host of the mesh could be reached',
    remedy: 'check that the addresses are right and that TCP and UDP port 6783 are open between the hosts',
  },
  'dial-timeout': {
    status: 503,
    title: 'No host of the mesh answered in time',
    remedy: 'check that TCP and UDP port 6783 are open between the hosts',
  },
  'bad-peer-address': {
    status: 400,
    title: 'An address to dial is malformed',
    remedy: 'write HOST:PORT, or [IPV6]:PORT',
  },

  // Removing hosts.
  'unknown-peer': { status: 404, title: 'There is no such host in this mesh', remedy: 'see `weft peers`' },
  'ambiguous-peer': {
    status: 409,
    title: 'Several hosts answer to this name',
    remedy: 'give the id, or its last eight characters, as `weft peers` shows them',
  },
  'already-removed': {
    status: 409,
    title: 'This host was removed already',
    remedy: 'nothing is left to do; it may join again as a new host with a token of `weft invite`',
  },
  'own-peer': {
    status: 409,
    title: 'A host does not remove itself',
    remedy: 'run `weft remove` on another host, or `weft down` here to leave the mesh alone for a while',
  },
  'peer-up': {
    status: 409,
    title: 'The host is up',
    remedy: 'add --yes to remove it all the same; its containers then reach nobody on other hosts any more',
  },
  'heir-unreachable': {
    status: 503,
    title: 'The only host that may remove this one cannot be reached',
    remedy: 'bring that host back; when it is lost for good, remove it first, and then this one',
  },
  'heir-reachable': {
    status: 409,
    title: 'The root key is not needed here',
    remedy: 'use `weft remove`',
  },
  'holder-unreachable': {
    status: 503,
    title: 'The host that is to hand its roles over cannot be reached',
    remedy:
      'bring it back first; when it is lost for good, use `weft remove`: its own heir then stands in for it',
  },
  'heir-down': {
    status: 409,
    title: 'The host that is to become the heir is not up',
    remedy: 'name one that is up and stays: see `weft peers`',
  },
  'same-peer': {
    status: 409,
    title: 'Both hosts are the same',
    remedy: 'name the host that leaves, then the one that is to be the heir instead',
  },
  'needs-root-key': {
    status: 409,
    title: 'Nobody is left who may remove this host',
    remedy: 'use `weft recover` with the key that `weft root export` printed',
  },
  'bad-root-key': {
    status: 400,
    title: 'This is not the root key of this mesh',
    remedy: 'give the file that holds what `weft root export` printed; it starts with wfr1_',
  },
  'no-root-key': {
    status: 409,
    title: 'This host does not have the root key',
    remedy: 'the host that made the mesh has it: run `weft root export` there, and give it with --key-file',
  },

  // Addresses.
  'bad-address': { status: 400, title: 'This is not an IPv4 address', remedy: 'write it like 10.32.0.7' },
  'outside-range': {
    status: 400,
    title: 'The address is not in the range of the mesh',
    remedy: 'choose one inside the range that `weft status` shows, or leave it out',
  },
  reserved: {
    status: 400,
    title: 'The address is never given out',
    remedy: 'choose another one; the first and the last of the range are reserved',
  },
  'in-use': { status: 409, title: 'The address is in use', remedy: 'choose another one, or leave it out' },
  'owner-unreachable': {
    status: 503,
    title: 'The peer that owns the address cannot be reached',
    remedy: 'see `weft peers`, and choose another address or wait for the peer',
  },
  'no-space': {
    status: 503,
    title: 'No address is free',
    remedy: 'see `weft status ipam`; detach what is not needed, or bring peers that own addresses back',
  },
  'space-timeout': {
    status: 503,
    title: 'No peer gave addresses in time',
    remedy: 'see `weft peers` and `weft status ipam`, and try again',
  },

  // Networks.
  'unknown-network': {
    status: 404,
    title: 'There is no such network',
    remedy: 'see `weft network ls`; without a network, `weft` is used',
  },
  'bad-network': {
    status: 400,
    title: 'This cannot be a network',
    remedy: 'correct it; `weft network create --help` shows examples',
  },
  'subnet-outside': {
    status: 400,
    title: 'The subnet is not in the range of the mesh',
    remedy: 'choose one inside the range that `weft status` shows, or leave it out',
  },
  'subnet-taken': {
    status: 409,
    title: 'Another network has addresses of the subnet',
    remedy: 'choose another subnet, or leave it out; `weft network ls` shows those that there are',
  },
  'subnet-in-use': {
    status: 409,
    title: 'Addresses of the subnet are in use',
    remedy: 'detach what uses them (`weft ps` on the hosts named), choose another subnet, or leave it out',
  },
  'subnet-unreachable': {
    status: 503,
    title: 'A peer that owns addresses of the subnet cannot be reached',
    remedy: 'see `weft peers`; choose another subnet, leave it out, or wait for the peer',
  },
  'network-name-taken': {
    status: 409,
    title: 'Another network has this name',
    remedy: 'choose another one; `weft network ls` shows those that there are',
  },
  'network-in-use': {
    status: 409,
    title: 'The network has endpoints',
    remedy: 'detach them first: `weft ps` on the hosts named shows them',
  },
  'network-permanent': {
    status: 409,
    title: 'The network `weft` is always there, as it is',
    remedy: 'make another one with `weft network create NAME`',
  },

  // Names.
  'unknown-name': {
    status: 404,
    title: 'There is no such name',
    remedy: 'see `weft dns ls`, and give its network with --network when that is not `weft`',
  },
  'bad-name': {
    status: 400,
    title: 'This cannot be a name',
    remedy: 'use at most 64 letters, digits, dashes, underscores and dots, and nothing under weft.local',
  },

  // Endpoints.
  'unknown-endpoint': { status: 404, title: 'There is no such endpoint here', remedy: 'see `weft ps`' },
  'ambiguous-endpoint': {
    status: 409,
    title: 'Several endpoints answer to this name',
    remedy: 'give the id or the address that `weft ps` shows',
  },
  'name-taken': {
    status: 409,
    title: 'Another endpoint has this name',
    remedy: 'choose another one, or see `weft ps`',
  },
  'sandbox-missing': {
    status: 404,
    title: 'There is no such sandbox',
    remedy: 'give a name from `ip netns`, a path to a namespace, or the id of a running process',
  },
  'interface-taken': {
    status: 409,
    title: 'The sandbox has an interface of this name',
    remedy: 'choose another one with --interface',
  },
  'address-taken': {
    status: 409,
    title: 'Something on this machine has the address',
    remedy: 'see `ip address`, and choose another one',
  },

  // This machine.
  'not-root': {
    status: 500,
    title: 'The daemon lacks the rights that it needs',
    remedy: 'run it as root, with the capabilities that examples/systemd/weftd.service lists',
  },
  'no-tun': {
    status: 500,
    title: 'This machine has no /dev/net/tun',
    remedy: 'run `modprobe tun`; in a container, give it --device /dev/net/tun',
  },
  'tool-missing': {
    status: 500,
    title: 'A program that the daemon needs is missing',
    remedy: 'install it: apt-get install iproute2 nftables',
  },
  'range-overlap': {
    status: 409,
    title: 'The range of the mesh overlaps a route of this host',
    remedy: 'make the mesh with another one: `weft up --range 10.96.0.0/12`, or remove the route',
  },
  'device-taken': {
    status: 409,
    title: 'Another program has the network device',
    remedy: 'stop it, or choose another name with --device',
  },
  'machine-in-use': {
    status: 409,
    title: 'Another weftd works on this machine',
    remedy:
      'use that one, with its --socket, or stop it there with `weft down`; a further one needs a network namespace of its own',
  },
  'port-in-use': {
    status: 409,
    title: 'The port is in use',
    remedy: 'stop the program that has it (`ss -lntup`), or choose another one with --port',
  },
  'listen-address': {
    status: 500,
    title: 'The address to listen on is none of this host',
    remedy: 'choose one that `ip address` shows with --listen, or `::` for all',
  },
  'not-built': {
    status: 500,
    title: 'The native half of Weft is not there',
    remedy: 'run `npm run build:native` in the checkout, or install the package for this platform',
  },
  'socket-in-use': {
    status: 409,
    title: 'Another daemon listens on the socket',
    remedy: 'stop it with `weft down`, or choose another one with --socket',
  },
  'socket-unusable': {
    status: 500,
    title: 'The socket cannot be made',
    remedy: 'choose another path with --socket',
  },
  'already-running': {
    status: 409,
    title: 'Another daemon uses this state folder',
    remedy: 'stop it with `weft down`, or choose another folder with --state',
  },
  'state-damaged': {
    status: 500,
    title: 'The state file and its previous generation are damaged',
    remedy: 'restore the state folder from a backup, or move it away and join again',
  },
  'state-unwritable': {
    status: 500,
    title: 'The state cannot be stored',
    remedy: 'check the free space and the rights of the state folder',
  },
  'command-failed': {
    status: 500,
    title: 'A command on this machine failed',
    remedy: 'read what it said; the log has the whole of it',
  },
  internal: {
    status: 500,
    title: 'The daemon failed in a way that it does not know',
    remedy: 'look into its log, and report it with what you did',
  },
} as const satisfies Record<string, ErrorEntry>;
