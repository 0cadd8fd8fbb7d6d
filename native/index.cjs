'use strict';
// Finds the compiled half: a prebuilt one for this platform, else one that build.sh made here.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const FILE = 'tun_tap_napi.node';

function candidates() {
  const chosen = process.env.TUN_TAP_NAPI_BINARY; // a sanitizer build, for tests
  if (chosen) return [chosen];
  return [
    join(__dirname, 'prebuilds', `${process.platform}-${process.arch}`, FILE),
    join(__dirname, 'build', 'Release', FILE),
  ];
}

function load() {
  const tried = candidates();
  const found = tried.find((path) => existsSync(path));
  if (found) return require(found);
  const error = new Error(
    `tun-tap-napi has no binary for ${process.platform}-${process.arch}: build it with "sh ${join(__dirname, 'build.sh')}" (looked for ${tried.join(', ')})`,
  );
  error.code = 'MODULE_NOT_FOUND';
  throw error;
}

module.exports = load();
