import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { clean, formatBytes, formatCount, formatDuration, formatTable } from '../../src/cli/format.ts';
import type { Io } from '../../src/cli/io.ts';
import { createProgram, runCli } from '../../src/cli/program.ts';
import { renderEndpoints, renderIpam, renderPeers, renderStatus } from '../../src/cli/render.ts';
import { readToken } from '../../src/cli/token.ts';
import { OPTIONS } from '../../src/daemon/options.ts';
import type { PeerStatus, Status, Warning } from '../../src/doors/control.ts';
import { createMemoryControl } from '../../src/doors/memory-control.ts';

const NOWHERE = '/nonexistent/weft.sock';

function ioOf(more: Partial<Io> = {}) {
  const said = { out: '', err: '' };
  const io: Io = {
    env: { WEFT_SOCKET: NOWHERE },
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    stdin: async () => '',
    terminal: false,
    ...more,
  };
  return { io, said };
}

async function weft(...argv: string[]) {
  const { io, said } = ioOf();
  const exit = await runCli({ argv, io, daemonMain: '/nonexistent/main.ts' });
  return { exit, ...said };
}

const traffic = fc.record({
  sentPackets: fc.nat(),
  sentBytes: fc.nat(),
  receivedPackets: fc.nat(),
  receivedBytes: fc.nat(),
  dropped: fc.nat(),
});
const word = fc.stringMatching(/^[A-Za-z0-9]{1,12}$/);
const address = fc.tuple(fc.ipV4(), fc.nat(65_535)).map(([host, port]) => `${host}:${port}`);
const peer: fc.Arbitrary<PeerStatus> = fc.record({
  nickname: fc.oneof(word, fc.constant('twin')),
  id: fc.stringMatching(/^12D3KooW[A-Za-z0-9]{44}$/),
  version: fc.option(word),
  state: fc.constantFrom('up', 'down'),
  control: fc.record({
    state: fc.constantFrom('linked', 'forwarded', 'dialling', 'none'),
    address: fc.option(address),
    direction: fc.option(fc.constantFrom('dialled', 'accepted')),
    hops: fc.option(fc.nat(9)),
  }),
  path: fc.record({
    kind: fc.constantFrom('vxlan', 'encrypted', 'relayed', 'none'),
    by: fc.option(word),
    endpoint: fc.option(address),
    mtu: fc.nat(65_535),
    reason: fc.option(word),
    loss: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    roundTrip: fc.option(fc.double({ min: 0, max: 1e4, noNaN: true })),
  }),
  session: fc.option(fc.record({ epoch: fc.nat(), suite: word, age: fc.nat(1e6) })),
  lastError: fc.option(word),
  traffic,
});
const warning: fc.Arbitrary<Warning> = fc.record({
  code: word,
  severity: fc.constantFrom('info', 'warning', 'error'),
  text: word,
  remedy: word,
});

/** A status with peers, warnings and drops of any kind over what a real control shows. */
async function statusWith(facts: {
  peers: PeerStatus[];
  warnings: Warning[];
  drops: Record<string, number>;
}): Promise<Status> {
  const control = createMemoryControl({ nickname: 'host-a' });
  await control.found({});
  await control.attach({ sandbox: 'blue', name: 'web' });
  await control.expose({});
  control.show(facts);
  return control.status();
}

/** How a table names a peer: where others have its nickname, the end of its id tells it apart. */
function labelOf(one: PeerStatus, peers: readonly PeerStatus[]): string {
  const alone = peers.every((other) => other === one || other.nickname !== one.nickname);
  return alone ? one.nickname : `${one.nickname} …${one.id.slice(-8)}`;
}

test('the text of a status says what its JSON says', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(peer, { maxLength: 4 }),
      fc.array(warning, { maxLength: 3 }),
      fc.dictionary(word, fc.integer({ min: 1, max: 1e6 }), { maxKeys: 3 }),
      async (peers, warnings, drops) => {
        const status = await statusWith({ peers, warnings, drops });
        const text = renderStatus(status);
        const rows = text.split('\n').map((line) => line.split(/ {2,}/));
        for (const one of peers) {
          const expected = [
            labelOf(one, peers),
            one.state,
            formatBytes(one.traffic.sentBytes),
            formatBytes(one.traffic.receivedBytes),
          ];
          assert.ok(
            rows.some((row) => expected.every((cell) => row.includes(cell))),
            `${expected} in\n${text}`,
          );
        }
        for (const one of warnings) {
          assert.ok(text.includes(`${one.severity}: ${one.text} [${one.code}]\n  → ${one.remedy}`));
        }
        for (const [reason, count] of Object.entries(drops)) {
          assert.ok(text.includes(`${reason} ${formatCount(count)}`));
        }
        for (const value of [
          status.nickname,
          status.peer,
          status.version,
          status.mesh?.range,
          status.state.path,
          '192.0.2.1:6783',
          'weft0',
          '1420',
        ]) {
          assert.ok(text.includes(String(value)), `${value} in\n${text}`);
        }
      },
    ),
  );
});

test('the tables show every field of every row', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(peer, { minLength: 1, maxLength: 4 }), async (peers) => {
      const table = renderPeers({ peers });
      assert.equal(table.trimEnd().split('\n').length, peers.length + 1);
      for (const one of peers) {
        const { id, state, version, path, session, lastError } = one;
        const row = table.split('\n').find((line) => line.includes(id)) ?? '';
        const label = labelOf(one, peers);
        const cells = [label, state, version, path.kind, path.endpoint, session?.suite, lastError];
        for (const cell of cells) assert.ok(row.includes(cell ?? ''), `${cell} in ${row}`);
      }
    }),
  );
  const { ipam, endpoints, networks } = await statusWith({ peers: [], warnings: [], drops: {} });
  assert.match(
    renderIpam({ ipam, networks }),
    /1,048,576 addresses in 10\.32\.0\.0\/12; here 2 in use, 1,048,574 free/,
  );
  const rows = renderEndpoints({ endpoints }).trimEnd().split('\n');
  assert.equal(rows.length, 3);
  assert.match(rows[1] ?? '', /web +10\.32\.0\.1\/12 +weft +blue +eth0 +02:00:00:00:00:01 +\S+ +up$/);
  assert.match(rows[2] ?? '', /10\.32\.0\.2\/12 +weft +\(this host\) +weft0/);
});

test('nothing that another host says moves the cursor or makes a line of its own', async () => {
  const evil = 'x\x1b[2J\r\nroot ok\u202e\u0085\u2028y';
  const base = fc.sample(peer, { numRuns: 1, seed: 1 })[0] as PeerStatus;
  const peers = [{ ...base, nickname: evil, lastError: evil, version: evil, id: evil }];
  const warnings = [{ code: evil, severity: 'error', text: evil, remedy: evil } as const];
  const status = await statusWith({ peers, warnings, drops: { [evil]: 1 } });
  const ipam = status.ipam && {
    ...status.ipam,
    waiting: [evil],
    disputes: [{ start: '1', last: '2', text: evil }],
  };
  const networks = status.networks.map((one) => ({ ...one, name: evil, clash: evil }));
  for (const text of [renderStatus(status), renderPeers({ peers }), renderIpam({ ipam, networks })]) {
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\u2028]/u);
    assert.doesNotMatch(text, /^root ok/m);
  }
});

test('numbers, sizes and times read as people write them', () => {
  assert.deepEqual([0, 999, 1000, 1_048_576].map(formatCount), ['0', '999', '1,000', '1,048,576']);
  assert.deepEqual([0, 999, 1000, 1024, 17_613, 1_048_576, 5e15].map(formatBytes), [
    '0 B',
    '999 B',
    '0.98 KiB',
    '1.00 KiB',
    '17.2 KiB',
    '1.00 MiB',
    '4.44 PiB',
  ]);
  assert.deepEqual([0, 59, 60, 3_661, 86_400, 183_600].map(formatDuration), [
    '0 s',
    '59 s',
    '1 min',
    '1 h 1 min',
    '1 d',
    '2 d 3 h',
  ]);
  assert.equal(
    formatTable(
      ['A', 'LONG'],
      [
        ['word', '1'],
        ['', '2'],
      ],
    ),
    'A     LONG\nword  1\n      2\n',
  );
  assert.equal(clean('a\tb\x1b'), 'a?b?');
});

test('every command without a daemon says so in one line, how to get one, and exits with 2', async () => {
  const lines = [
    ['status'],
    ['peers'],
    ['ps'],
    ['invite'],
    ['attach', 'blue'],
    ['detach', 'blue'],
    ['expose'],
    ['hide'],
    ['status', 'ipam', '--json'],
  ];
  for (const argv of lines) {
    const { exit, out, err } = await weft(...argv);
    assert.deepEqual([exit, out], [2, ''], argv.join(' '));
    assert.equal(
      err,
      `weft: no daemon listens on ${NOWHERE}\n  → start it with \`weft up\`, or give the right socket with --socket or WEFT_SOCKET\n`,
    );
  }
  assert.deepEqual(JSON.parse((await weft('version', '--json')).out).weftd, null);
});

test('bad usage is one line with a remedy, nothing on stdout, and exit code 1', async () => {
  const lines: readonly (readonly [readonly string[], RegExp])[] = [
    [['statsu'], /unknown command 'statsu' \(did you mean status\?\)/],
    [['status', 'ipan'], /no section 'ipan'.*peers, connections, paths, ipam, endpoints/],
    [['help', 'statsu'], /unknown command 'statsu' \(did you mean status\?\)/],
    [['status', '--jsno'], /unknown option '--jsno' \(did you mean --json\?\)/],
    [['attach'], /missing required argument 'sandbox'/],
    [['attach', 'a', 'b'], /too many arguments/],
    [['attach', 'a', '--ip'], /argument missing/],
    [['invite', '--ttl', 'soon'], /--ttl <time>' cannot be 'soon'.*Write a number and s, m, h or d/],
    [['invite', '--ttl', '-1h'], /--ttl/],
    [['invite', '--uses', '1.5'], /Write a whole number/],
    [['completion', 'csh'], /no shell 'csh'.*bash, zsh, fish/],
    [['join'], /a token is missing/],
    [['join', 'x', '--token-file', 'y'], /given twice/],
    [['join', '--token-file', '/nonexistent'], /cannot be read/],
    [['wf1_secret'], /unknown command/],
    [['up', 'wf1_secret'], /too many arguments/],
  ];
  for (const [argv, expected] of lines) {
    const { exit, out, err } = await weft(...argv);
    assert.deepEqual([exit, out], [1, ''], argv.join(' '));
    assert.match(err, /^weft: [^\n]+\n {2}→ [^\n]+\n$/, argv.join(' '));
    assert.match(err, expected);
    assert.doesNotMatch(err, /secret/);
  }
});

test('weft alone shows help and exits with 1, asked for help it exits with 0', async () => {
  const alone = await weft();
  assert.equal(alone.exit, 1);
  const asked = await weft('help');
  assert.equal(asked.exit, 0);
  assert.equal(alone.out, asked.out);
  assert.match(asked.out, /Start here:/);
});

test('the help of every command has an example that begins with it', async () => {
  const commands = [...(await weft('help')).out.matchAll(/^ {2}([a-z]+) .*/gm)].map(
    (match) => match[1] ?? '',
  );
  const known = new Set([
    'up',
    'join',
    'invite',
    'down',
    'status',
    'peers',
    'attach',
    'detach',
    'trust',
    'expose',
    'hide',
    'dns',
    'ps',
    'version',
    'completion',
    'network',
    'remove',
    'handover',
    'recover',
    'root',
  ]);
  assert.deepEqual(new Set(commands.filter((name) => name !== 'weft' && name !== 'help')), known);
  for (const name of known) {
    const { out, exit } = await weft(name, '--help');
    assert.equal(exit, 0);
    assert.match(out, new RegExp(`Examples:\\n(.*\\n)*? {2}weft ${name}`), name);
    assert.match(out, /--json/);
  }
});

test('help goes as deep as the commands do, and names what is not there', async () => {
  assert.equal(
    (await weft('help', 'network', 'create')).out,
    (await weft('network', 'create', '--help')).out,
  );
  assert.match((await weft('network', 'create', '--help')).out, /--subnet(.*\n)*Examples:/);
  assert.match((await weft('help', 'trust', 'add')).out, /^Usage: weft trust /);
  const typo = await weft('help', 'network', 'creat');
  assert.deepEqual([typo.exit, typo.out], [1, '']);
  assert.match(typo.err, /unknown command 'creat' \(did you mean create\?\)/);
});

test('whatever the daemon can be told, `weft up` and `weft join` can tell it', () => {
  const program = createProgram(ioOf().io, async () => {});
  const known = (name: string) => [
    ...program.options,
    ...(program.commands.find((command) => command.name() === name)?.options ?? []),
  ];
  // A token is what `weft join` itself is given.
  for (const { name } of OPTIONS.filter((option) => option.name !== 'join')) {
    assert.ok(
      known('up').some(({ long }) => long === `--${name}`),
      `weft up --${name}`,
    );
    // What is joined has a range.
    assert.equal(
      known('join').some(({ long }) => long === `--${name}`),
      name !== 'range',
      `weft join --${name}`,
    );
  }
});

test('a token comes as argument, by file or on standard input, alone or as the whole line', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-token-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const token = 'wf1_abcDEF-_09';
  const file = join(folder, 'token');
  const { io } = ioOf({ stdin: async () => `\n  ${token}\n` });
  assert.equal(await readToken(token, undefined, io), token);
  assert.equal(await readToken('-', undefined, io), token);
  for (const line of [
    token,
    `weft join ${token}\n`,
    `$ sudo weft join  ${token}\r\n`,
    `weft join ${token.slice(0, 8)}\n  ${token.slice(8)} \n`,
  ]) {
    writeFileSync(file, line);
    assert.equal(await readToken(undefined, file, io), token);
  }
  for (const line of ['', 'hello', `${token} ${token}`, `${token}\u202e`, 'x'.repeat(100_000)]) {
    writeFileSync(file, line);
    await assert.rejects(readToken(undefined, file, io), /not a join token/);
  }
});

test('whatever the arguments, weft answers with a known exit code and no stack', async () => {
  const argument = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      'status',
      'attach',
      'invite',
      '--json',
      '--ttl',
      '--',
      '-',
      '--socket',
      'help',
      '__proto__',
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(argument, { maxLength: 4 }), async (argv) => {
      fc.pre(!argv.includes('up') && !argv.includes('join'));
      const { exit, err } = await weft(...argv);
      assert.ok([0, 1, 2].includes(exit), String(exit));
      assert.doesNotMatch(err, /\n\s+at |should not happen/);
    }),
  );
});
