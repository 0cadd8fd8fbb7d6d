/**
 * Put before a command, makes it run as a user without rights over the network or anybody's files. It may still read what root may,
 * because the checkout, and Node in it, may lie in root's home.
 */
export const AS_NOBODY = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--inh-caps=+dac_read_search',
  '--ambient-caps=+dac_read_search',
  '--',
];
