/** What stands under the options in each command's help: examples to act on first, then what to know. */
export const HELP = {
  weft: `
Start here:
  weft up                      on the first host: makes the mesh and prints the line for the next one
  weft join wf1_…              on every other host: the line that was printed
  weft attach blue             gives the network namespace "blue" an address
  weft status                  how everything is
  weft help network create     more about a command

Exit codes: 0 fine, 1 wrong usage or input, 2 no daemon, 3 the mesh or this machine has a fault.`,
  up: `
Examples:
  weft up                              make a mesh over 10.32.0.0/12
  weft up --range 10.96.0.0/12         the same over other addresses
  weft up --advertise 203.0.113.7      tell the others to dial this address, e.g. of a port forwarding

With --no-encryption the hosts of the new mesh send packets to each other in clear, by the kernel's VXLAN, wherever that works. That
is a property of the mesh, signed by its root key; who belongs to it is checked all the same.

A host that was in a mesh before resumes it with the same addresses. Running it twice does no harm.
TCP and UDP port 6783 must be open between the hosts. The log is weftd.log in the state folder.`,
  join: `
Examples:
  weft join wf1_…                      the line that \`weft up\` or \`weft invite\` printed
  weft join --token-file /root/token
  ssh first weft invite --json | jq -r .token | weft join -

With a file or standard input the token is in no shell history.`,
  invite: `
Examples:
  weft invite                          one host, within a day
  weft invite --uses 20 --ttl 1h       twenty hosts, within the hour

Whoever has the line can join: hand it on as you would a password.`,
  down: `
Examples:
  weft down

Detaches every endpoint, removes links, routes and rules, and leaves the machine as it was. Keys and addresses
stay in the state folder: \`weft up\` brings them back. Where the daemon was killed, what it left is removed all the same;
with nothing there it says so, and exits with 0 as well.`,
  remove: `
Examples:
  weft remove blue                     a host that is gone for good
  weft remove blue --yes               also when it is up
  weft remove LDxxzuQS                 the end of its id, where two hosts have one name

Runs on any host; the host that gave "blue" its first addresses, its heir, does it. Within seconds every host closes its links
to "blue" and forgets its keys, the secret that opens links is changed, and the heir gives the addresses out again. A host that is only silent keeps
everything until somebody removes it. One that comes back is told, and can join again as a new host: \`weft join TOKEN\`.`,
  handover: `
Examples:
  weft handover green                  green instead of this host
  weft handover green --from blue      green instead of blue; blue must be up

Each host has an heir, the one that gave it its first addresses: it confirms what the host gives away, and carries out the host's removal.
Before "blue" leaves for good, its roles can go to "green", so that the hosts that joined through "blue" need it no more; then \`weft down\` on "blue"
and \`weft remove blue\`. When "blue" is lost already, only \`weft remove blue\` is left, and its own heir stands in for it.`,
  recover: `
Examples:
  weft recover blue --key-file root.key
  weft root export | ssh third weft recover blue --key-file -

For when the heir of a host is lost with it. This host takes the addresses over, once every other member has agreed. --force does
not wait for members that are silent. That is unsafe: their containers may go on with addresses that others are given, until they
come back; then they lose those, and \`weft status\` names them.`,
  root: `
Examples:
  weft root export > root.key          on the host that made the mesh

Keep it off line. Whoever has it can take over every host of the mesh; without it nothing can be done when the first two hosts are
both lost.`,
  attach: `
Examples:
  weft attach blue                     a namespace of \`ip netns\`
  weft attach /run/netns/blue          any namespace by path
  weft attach 4711                     the namespace of a process
  weft attach blue --ip 10.32.0.7 --name web
  weft attach blue --network db        one interface for each network that it is in

Attaching the same sandbox again changes nothing and shows the address that it has.`,
  network: `
Examples:
  weft network create web              a network with a /24 of its own, known on every host
  weft network create db --subnet 10.40.5.0/24 --gateway 10.40.5.1
  weft network create vault --internal   containers of Docker in it reach nothing outside the mesh
  weft attach blue --network web       an address in it
  weft network ls
  weft network rm web                  its addresses are free again

Who is in one network reaches its members on every host and nobody else. The network \`weft\` is there from the start.`,
  detach: `
Examples:
  weft detach blue                     by sandbox
  weft detach 10.32.0.7                by address
  weft detach web                      by name, or by id (see \`weft ps\`)`,
  expose: `
Examples:
  weft expose                          any free address
  weft expose 10.32.0.9

Programs on this host can then reach containers of all hosts, and be reached by them. \`weft hide\` undoes it.`,
  hide: `
Examples:
  weft hide`,
  trust: `
Examples:
  weft trust add 192.168.1.0/24        hosts with these addresses may get packets without encryption
  weft trust remove 192.168.1.0/24
  weft trust ls

A link goes without encryption when both of its hosts trust the other's address; the kernel then carries the packets by VXLAN
(UDP port 4789, over IPv4). Open connections go on over a change. \`weft status paths\` says which links do, and why others do not.`,
  dns: `
Examples:
  weft dns ls
  weft dns lookup web                  the addresses that a container in \`weft\` is told
  weft dns lookup 10.32.0.7            the names of an address
  weft dns add db 192.0.2.7            a name for what is beside the mesh, on every host
  weft dns add db 192.0.2.8            one more: containers are told both, in turn
  weft dns remove db 192.0.2.7
  weft dns remove db

Containers ask 127.0.0.11, which Docker writes into their resolv.conf. In others write \`nameserver 127.0.0.11\` there.
Forms: NAME, NAME.NETWORK, NAME.NETWORK.weft.local. A name with dots needs one of the longer two.`,
  status: `
Examples:
  weft status                          everything at a glance, warnings with what to do about them
  weft status ipam                     who owns which addresses
  weft status paths                    how packets get to each host, and why not in a better way
  weft status connections --json

Exits with 3 when something is broken that needs you.`,
  peers: `
Examples:
  weft peers
  weft peers --json | jq -r '.peers[] | select(.state == "down") | .nickname'`,
  ps: `
Examples:
  weft ps
  weft ps --json | jq -r '.endpoints[].address'`,
  version: `
Examples:
  weft version`,
  completion: `
Examples:
  weft completion bash > /etc/bash_completion.d/weft
  weft completion zsh  > /usr/local/share/zsh/site-functions/_weft
  weft completion fish > ~/.config/fish/completions/weft.fish`,
} as const;
