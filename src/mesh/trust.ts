import { formatBlock, parseBlock } from '../core/blocks.ts';
import { MAX_SUBNETS } from '../core/path.ts';
import type { Keeper } from './keeper.ts';

/**
 * The links that this host trusts: blocks of underlay addresses, from the configuration and from `weft trust`. What was added or removed
 * by command outlives restarts.
 */
export interface Trust {
  list(): readonly TrustedSubnet[];
  /** Fine when it is there. On disk when it resolves. Rejects with TrustError. */
  add(subnet: string): Promise<void>;
  /** On disk when it resolves. Rejects with TrustError `unknown-subnet` when it is not there. */
  remove(subnet: string): Promise<void>;
}

export interface TrustedSubnet {
  readonly subnet: string;
  readonly from: 'configuration' | 'command';
}

export class TrustError extends Error {
  readonly code: 'bad-request' | 'unknown-subnet';
  constructor(code: TrustError['code'], message: string) {
    super(message);
    this.name = 'TrustError';
    this.code = code;
  }
}

interface Changes {
  readonly added: readonly string[];
  /** Of the configuration's. */
  readonly removed: readonly string[];
}

/** `configured`: blocks of either family as text. */
export function createTrust({
  keeper,
  configured,
}: {
  keeper: Pick<Keeper, 'section'>;
  configured: readonly string[];
}): Trust {
  const section = keeper.section<Changes>('trust', checkChanges, { added: [], removed: [] });
  const base = [...new Set(configured.map(canonical))];

  function list(): readonly TrustedSubnet[] {
    const { added, removed } = section.get();
    const kept = base.filter((subnet) => !removed.includes(subnet));
    return [
      ...kept.map((subnet) => ({ subnet, from: 'configuration' as const })),
      ...added.filter((one) => !kept.includes(one)).map((subnet) => ({ subnet, from: 'command' as const })),
    ];
  }

  return {
    list,
    async add(text) {
      const subnet = canonical(text);
      const { added, removed } = section.get();
      if (list().some((one) => one.subnet === subnet)) return;
      if (list().length >= MAX_SUBNETS)
        throw new TrustError('bad-request', `there are ${MAX_SUBNETS} trusted blocks already: remove one`);
      const rest = removed.filter((one) => one !== subnet);
      await section.set({ added: base.includes(subnet) ? added : [...added, subnet], removed: rest });
    },
    async remove(text) {
      const subnet = canonical(text);
      const { added, removed } = section.get();
      if (!list().some((one) => one.subnet === subnet))
        throw new TrustError('unknown-subnet', `${subnet} is not trusted here`);
      await section.set({
        added: added.filter((one) => one !== subnet),
        removed: base.includes(subnet) ? [...removed, subnet] : removed,
      });
    },
  };
}

function canonical(text: string): string {
  const parsed = parseBlock(text);
  if (!parsed.ok) throw new TrustError('bad-request', parsed.message);
  return formatBlock(parsed.value);
}

function checkChanges(data: unknown): Changes {
  const { added, removed } = (data ?? {}) as Partial<Changes>;
  const fine = (list: unknown): list is readonly string[] =>
    Array.isArray(list) && list.every((one) => typeof one === 'string' && parseBlock(one).ok);
  if (!fine(added) || !fine(removed)) throw new TypeError('trusted subnets are no lists of blocks');
  return { added, removed };
}
