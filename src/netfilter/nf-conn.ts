// struct nf_conn and struct ip_ct_tcp as words of the table's columns (include/net/netfilter/nf_conntrack.h,
// include/linux/netfilter/nf_conntrack_tcp.h): what is read together for one packet stands together.

// Words of an entry in `rec`: one cache line. The reply tuple stands four words after the original one.
export const REC = 16;
/** Namespace * 256 + IP protocol, the same for both directions. */
export const R_KEY = 0;
export const R_SRC = 1;
export const R_DST = 2;
/** Source port * 65536 + destination port; ICMP: identifier * 65536 + type * 256 + code. */
export const R_PORTS = 3;
export const R_STATUS = 4;
export const R_REPLY = 4;
/** References: one of the table while confirmed, one per frame. */
export const R_USE = 8;
/** Device the entry was masqueraded for; -1 when none. */
export const R_MASQ = 9;
/**
 * Service port that chose the destination, number of the endpoint in its list, revision of the node; -1 when
 * none.
 */
export const R_SERVICE = 10;
export const R_ENDPOINT = 11;
export const R_REVISION = 12;
/** Hashes of the two tuples as indexed. */
export const R_HASH = 13;
export const R_REPLY_HASH = 14;
/** In order of creation; the difference of two, as int32, says which came later. */
export const R_ID = 15;

// Words in `acct`. Times are nanoseconds.
export const ACCT = 6;
/** When the entry expires; before confirmation, how long it will live from then on. */
export const A_TIMEOUT = 0;
/** UDP: a packet after this instant makes the flow a stream. */
export const A_STREAM = 1;
/** Packets and bytes of the original direction; those of the reply direction stand two words after. */
export const A_PACKETS = 2;
export const A_BYTES = 3;

// Words in `tcp`: struct ip_ct_tcp. Six per direction, then the shared ones.
export const TCPI = 24;
export const TD = 6;
export const TD_END = 0;
export const TD_MAXEND = 1;
export const TD_MAXWIN = 2;
export const TD_MAXACK = 3;
export const TD_SCALE = 4;
export const TD_FLAGS = 5;
export const TS_STATE = 12;
export const TS_LAST_DIR = 13;
export const TS_RETRANS = 14;
export const TS_LAST_INDEX = 15;
export const TS_LAST_SEQ = 16;
export const TS_LAST_ACK = 17;
export const TS_LAST_END = 18;
export const TS_LAST_WIN = 19;
export const TS_LAST_WSCALE = 20;
export const TS_LAST_FLAGS = 21;

// Counters per namespace, as `conntrack -S` names them.
export const STATS = 8;
export const ST_INVALID = 0;
export const ST_INSERT_FAILED = 1;
export const ST_DROP = 2;
export const ST_EARLY_DROP = 3;
export const ST_ERROR = 4;
export const ST_CLASH_RESOLVE = 5;
