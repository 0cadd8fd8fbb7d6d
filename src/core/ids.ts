/** The names things have in Weft. Each is text with a brand, so that one cannot be passed for another. */

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A peer: the libp2p peer id of its Ed25519 key, base58btc, e.g. `12D3KooW…`. */
export type PeerId = Branded<'PeerId'>;

/** A mesh: lower-case hex of the SHA-256 of the mesh's root public key (64 characters). */
export type MeshId = Branded<'MeshId'>;

/** An endpoint, unique on its host: chosen by who attached it (Docker's endpoint id, a random one for `weft attach`). */
export type EndpointId = Branded<'EndpointId'>;

/** A network, for ever: `weft`, which is there from the start, else 16 random hex digits. Its name may change. */
export type NetworkId = Branded<'NetworkId'>;

export const DEFAULT_NETWORK = 'weft' as NetworkId;
