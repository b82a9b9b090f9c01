// An entry of the flow cache as words of two columns: what is read together for one packet stands together.

/** Second half of a queued pair: the stage at the end, plus this for every veth still ahead. */
export const HOP = 256;

// Words of an entry; the key (flow-start.ts) is the first.
export const ENTRY = 17;
export const E_SRC = 1;
export const E_DST = 2;
export const E_PORTS = 3;
export const E_HASH = 4;
export const E_PATH = 5;
export const E_GENERATION = 6;
export const E_NEW_SRC = 7;
export const E_NEW_DST = 8;
export const E_NEW_PORTS = 9;
/** What the TTL loses; longest IP packet that is known to pass. */
export const E_TTL = 10;
export const E_LENGTH = 11;
/** Receiving device, and stage with the veths before it. */
export const E_DEV = 12;
export const E_STAGE = 13;
/** skb.flags and, above them, the type of the route. */
export const E_FLAGS = 14;
export const FLAG_BITS = 16;
/** Row of flow-segment.ts, -1 for a way from socket to socket that brings no connection along. */
export const E_SEGMENT = 15;
/** Flow of a traffic source whose packets flow-emit.ts makes by this entry, -1 for none. */
export const E_SENDER = 16;

// Numbers of an entry that may be large: times in ns.
export const FLOW = 4;
export const F_LAST = 0;
export const F_PACKETS = 1;
export const F_BYTES = 2;
/** A packet that comes this long after the last one finds its connection expired. */
export const F_IDLE = 3;
