import { concat } from '../core/bytes.ts';
import type { Namespace } from './namespace.ts';
import { changeByName } from './netlink.ts';
import { attribute, malformed, nested, readAttributes, textAttribute, viewOf } from './netlink-wire.ts';

/** Features of links by the kernel's own names, as `ethtool -K` sets them: by netlink, Documentation/networking/ethtool-netlink.rst. */

/** The family that knows the numbers of all others: linux/genetlink.h. */
const CONTROL = 16;
const GET_FAMILY = 3;
const FAMILY = { id: 1, name: 2 } as const;
/** linux/ethtool_netlink.h */
const FEATURES_SET = 12;
const FEATURES = { header: 1, wanted: 3 } as const;
const HEADER = { name: 2 } as const;
const BITS = 3;
const BIT = { one: 1, name: 2, on: 3 } as const;

/** Rejects with NetlinkError where the link is missing, or the kernel does not know one of the features. */
export async function setFeatures(
  namespace: Namespace,
  link: string,
  features: Readonly<Record<string, boolean>>,
): Promise<void> {
  const bits = Object.entries(features).map(([name, on]) =>
    nested(BIT.one, [textAttribute(BIT.name, name), ...(on ? [attribute(BIT.on, new Uint8Array(0))] : [])]),
  );
  const body = concat(
    command(FEATURES_SET),
    nested(FEATURES.header, [textAttribute(HEADER.name, link)]),
    nested(FEATURES.wanted, [nested(BITS, bits)]),
  );
  const type = await numberOf(namespace, 'ethtool');
  await changeByName(namespace, [{ type, body, what: `set features of the link ${link}` }]);
}

async function numberOf(namespace: Namespace, family: string): Promise<number> {
  const body = concat(command(GET_FAMILY), textAttribute(FAMILY.name, family));
  const [[found] = []] = await changeByName(namespace, [{ type: CONTROL, body, what: `know ${family}` }]);
  const id = found === undefined ? undefined : readAttributes(found.body, 4).get(FAMILY.id);
  if (id === undefined || id.length < 2) throw malformed('a family without a number');
  return viewOf(id).getUint16(0, true);
}

/** struct genlmsghdr, version 1. */
function command(number: number): Uint8Array {
  return Uint8Array.of(number, 1, 0, 0);
}
