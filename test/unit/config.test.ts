import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ConfigError,
  type ConfigSources,
  helpText,
  nearest,
  readConfig,
  variableOf,
} from '../../src/daemon/config.ts';
import { OPTIONS } from '../../src/daemon/options.ts';

const EXAMPLE = new URL('../../examples/weft.conf', import.meta.url);

function read(sources: Partial<ConfigSources> & { file?: string } = {}) {
  const invocation = readConfig({
    argv: sources.argv ?? [],
    env: sources.env ?? {},
    hostname: sources.hostname ?? 'host-a',
    readFile: sources.readFile ?? (() => sources.file),
  });
  assert.equal(invocation.kind, 'run');
  return invocation as Extract<typeof invocation, { kind: 'run' }>;
}

function refusal(sources: Parameters<typeof read>[0]): ConfigError {
  try {
    read(sources);
  } catch (error) {
    assert.ok(error instanceof ConfigError, `a ConfigError and not ${error}`);
    return error;
  }
  throw new assert.AssertionError({ message: 'the configuration was taken' });
}

test('without anything said, the defaults count', () => {
  assert.deepEqual(read().config, {
    nickname: 'host-a',
    state: '/var/lib/weft',
    socket: '/run/weft/weft.sock',
    range: '10.32.0.0/12',
    port: 6783,
    listen: '::',
    advertise: [],
    device: 'weft0',
    trustedSubnets: [],
    vxlanPort: 4789,
    vxlanVni: 7_824_742,
    mtu: null,
    shortcut: true,
    relay: true,
    docker: 'auto',
    dockerSocket: '/run/docker/plugins/weft.sock',
    dockerEngine: '/run/docker.sock',
    dockerDriver: 'weft',
    dockerScope: 'local',
    join: null,
    logLevel: 'info',
  });
});

test('a flag wins over a variable, and that over the file', () => {
  const file = 'port = 1\ndevice = file0\nnickname = from-file\n';
  const env = { WEFT_PORT: '2', WEFT_DEVICE: 'env0' };
  const { config } = read({ file, env, argv: ['--port', '3'] });
  assert.deepEqual([config.port, config.device, config.nickname], [3, 'env0', 'from-file']);
});

test('every option can be set in each of the three ways', () => {
  const good: Record<string, string> = {
    nickname: 'n1',
    state: '/tmp/s',
    socket: '/tmp/x.sock',
    range: '10.96.0.0/16',
    port: '7000',
    listen: '192.0.2.1',
    advertise: '192.0.2.9:7001',
    device: 'w1',
    'trusted-subnets': '192.0.2.0/24',
    'vxlan-port': '8472',
    'vxlan-vni': '42',
    mtu: '1300',
    shortcut: 'off',
    relay: 'off',
    docker: 'on',
    'docker-socket': '/run/docker/plugins/other.sock',
    'docker-engine': '/run/other/docker.sock',
    'docker-driver': 'weft:latest',
    'docker-scope': 'global',
    join: 'wf1_AbC-9_z',
    'log-level': 'debug',
  };
  for (const option of OPTIONS) {
    const value = good[option.name] ?? '';
    const plain = read().config;
    const byFlag = read({ argv: [`--${option.name}=${value}`] }).config;
    assert.notDeepEqual(byFlag, plain, option.name);
    assert.deepEqual(read({ argv: [`--${option.name}`, value] }).config, byFlag);
    assert.deepEqual(read({ env: { [variableOf(option)]: value } }).config, byFlag);
    assert.deepEqual(read({ file: `  ${option.name}=${value}  \r\n` }).config, byFlag);
  }
});

test('addresses to advertise come in lists and get the port when they have none', () => {
  const { config } = read({
    argv: ['--port=7000', '--advertise', '192.0.2.1, host.example.org:99', '--advertise', '2001:db8::7'],
  });
  assert.deepEqual(config.advertise, ['192.0.2.1:7000', 'host.example.org:99', '[2001:db8::7]:7000']);
  assert.deepEqual(read({ file: 'advertise = a.example\nadvertise = b.example' }).config.advertise, [
    'a.example:6783',
    'b.example:6783',
  ]);
});

test('each bad value is refused with its place and what would be right', () => {
  const bad: readonly [string, string, RegExp][] = [
    ['nickname', 'a b', /letters/],
    ['nickname', '-x', /letters/],
    ['state', 'relative/dir', /absolute/],
    ['state', '/var/../etc', /without \. and \.\./],
    ['socket', `/${'s'.repeat(120)}`, /107 bytes/],
    ['range', '10.32.0.0', /block/],
    ['range', '10.32.0.1/12', /10\.32\.0\.0\/12/],
    ['range', '010.32.0.0/12', /block/],
    ['range', '10.0.0.0/7', /block|\/8 to \/29/],
    ['range', '10.0.0.0/30', /\/8 to \/29/],
    ['range', '127.0.0.0/8', /loopback/],
    ['range', '224.0.0.0/8', /multicast/],
    ['port', '0', /1 to 65535/],
    ['port', '65536', /1 to 65535/],
    ['port', '0x10', /1 to 65535/],
    ['port', '6783 ; rm', /1 to 65535/],
    ['listen', 'example.org', /address/],
    ['advertise', 'host:0', /port/],
    ['advertise', '0.0.0.0', /dial/],
    ['advertise', '1.2.3', /host/i],
    ['device', 'sixteen-letters0', /15/],
    ['device', '../x', /15/],
    ['device', 'lo', /interface/],
    ['mtu', '100', /576/],
    ['mtu', '1e3', /576/],
    ['docker', 'yes', /auto, on or off/],
    ['docker-socket', 'weft.sock', /absolute/],
    ['log-level', 'loud', /debug, info, warn, error/],
  ];
  for (const [name, value, expected] of bad) {
    const byFlag = refusal({ argv: [`--${name}`, value] });
    assert.match(byFlag.message, expected, `${name} ${value}`);
    assert.match(byFlag.message, new RegExp(`^--${name} `));
    assert.match(
      refusal({ env: { [`WEFT_${name.toUpperCase().replace('-', '_')}`]: value } }).message,
      /^WEFT_/,
    );
    assert.match(refusal({ file: `# first\n${name} = ${value}` }).message, /weft\.conf line 2: /);
  }
});

test('a slip in a name is answered with the right one', () => {
  assert.match(refusal({ argv: ['--prot', '1'] }).message, /did you mean --port\?/);
  assert.match(refusal({ argv: ['--nick-name=x'] }).message, /did you mean --nickname\?/);
  assert.match(refusal({ file: 'loglevel = info' }).message, /did you mean log-level\?/);
  assert.match(refusal({ file: 'trousers = on' }).message, /no option trousers/);
  assert.equal(nearest('xyzzy', ['port', 'state']), undefined);
});

test('a variable that nobody knows is a note and no error', () => {
  const { notes } = read({ env: { WEFT_PROT: '1', WEFT_READY_FD: '3', PATH: '/bin' } });
  assert.deepEqual(notes.length, 1);
  assert.match(notes[0] ?? '', /did you mean WEFT_PORT\?/);
});

test('a file with a key twice, a line without a value or a huge size is refused', () => {
  assert.match(refusal({ file: 'port = 1\nport = 2' }).message, /line 2: port is there twice/);
  assert.match(refusal({ file: 'port' }).message, /is not `key = value`/);
  assert.match(refusal({ file: 'port =' }).message, /is not `key = value`/);
  assert.match(refusal({ file: '#'.repeat(70_000) }).message, /larger than 64 KiB/);
});

test('a file that was asked for must be there, the default one need not', () => {
  const asked: string[] = [];
  const readFile = (path: string) => {
    asked.push(path);
    return undefined;
  };
  read({ readFile });
  assert.match(refusal({ readFile, argv: ['--config', '/etc/other'] }).message, /no file \/etc\/other/);
  assert.match(refusal({ readFile, env: { WEFT_CONFIG: '/etc/third' } }).message, /no file \/etc\/third/);
  assert.deepEqual(asked, ['/etc/weft/weft.conf', '/etc/other', '/etc/third']);
  const unreadable = () => {
    throw new Error('EACCES: permission denied');
  };
  assert.match(refusal({ readFile: unreadable }).message, /cannot be read: EACCES/);
});

test('a stray argument, a flag without a value and a pasted token are refused without being repeated', () => {
  assert.match(refusal({ argv: ['up'] }).message, /takes no argument "up"/);
  assert.match(refusal({ argv: ['--port'] }).message, /--port needs a value/);
  assert.doesNotMatch(refusal({ argv: ['wf1_secretsecretsecret'] }).message, /secret/);
  assert.doesNotMatch(refusal({ file: 'wf1_secretsecretsecret' }).message, /secret/);
});

test('whatever comes in, the answer is a configuration or a ConfigError of one line', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(...OPTIONS.map((option) => `--${option.name}`), '--config', '-h', '='),
  );
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 5 }),
      fc.string({ unit: 'binary' }),
      fc.string(),
      (argv, file, value) => {
        try {
          readConfig({ argv, env: { WEFT_PORT: value }, readFile: () => file, hostname: value });
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
          assert.doesNotMatch(error.message, /\n/);
        }
      },
    ),
  );
});

test('any host name makes a nickname that would be taken if it were given', () => {
  const nickname = OPTIONS.find((option) => option.name === 'nickname');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (hostname) => {
      assert.equal(nickname?.problem(read({ hostname }).config.nickname), undefined);
    }),
  );
});

test('the example configuration names every option with its default, and is taken with all of them switched on', () => {
  const example = readFileSync(EXAMPLE, 'utf8');
  assert.deepEqual(read({ file: example }).config, read().config);
  const switchedOn = example.replace(/^#(?=[a-z-]+ = )/gm, '');
  assert.deepEqual(
    OPTIONS.filter((option) => !switchedOn.includes(`\n${option.name} = `)).map((option) => option.name),
    [],
  );
  const { config } = read({ file: switchedOn });
  const { nickname, advertise, trustedSubnets, mtu, join, ...same } = config;
  const changed = { nickname, advertise, trustedSubnets, mtu, join };
  assert.deepEqual({ ...read().config, ...changed }, { ...changed, ...same });
});

test('help names every option', () => {
  for (const option of OPTIONS) assert.match(helpText(), new RegExp(`--${option.name} `));
  assert.deepEqual(
    [['--help'], ['-h'], ['--version'], ['--port=1', '--help']].map(
      (argv) => readConfig({ argv, env: {}, readFile: () => undefined, hostname: 'h' }).kind,
    ),
    ['help', 'help', 'version', 'help'],
  );
});
