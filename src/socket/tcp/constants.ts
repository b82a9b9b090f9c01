// Numbers of include/net/tcp.h and of the sysctls of Linux 6.18 (kube-proxy.md 5.3). Times in nanoseconds.

const MS = 1e6;
const SECOND = 1e9;

export const RTO_INIT = SECOND;
export const RTO_MIN = 200 * MS;
export const RTO_MAX = 120 * SECOND;
/** TCP_RESOURCE_PROBE_INTERVAL. */
export const RESOURCE_PROBE = 500 * MS;
/** TCP_DELACK_MIN and TCP_ATO_MIN; TCP_DELACK_MAX. */
export const ATO_MIN = 40 * MS;
export const DELACK_MAX = 200 * MS;
export const MAX_QUICKACKS = 16;
/** TCP_TIMEWAIT_LEN and tcp_fin_timeout. */
export const TIMEWAIT = 60 * SECOND;
/** tcp_invalid_ratelimit. */
export const INVALID_RATELIMIT = 500 * MS;
/** TCP_PAWS_MSL, TCP_PAWS_24DAYS in seconds, TCP_PAWS_WINDOW. */
export const PAWS_MSL = 60 * SECOND;
export const PAWS_24DAYS = 24 * 86_400 * SECOND;
export const PAWS_WINDOW = 1;
export const KEEPALIVE_TIME = 7200 * SECOND;
export const KEEPALIVE_INTERVAL = 75 * SECOND;
export const KEEPALIVE_PROBES = 9;

export const SYN_RETRIES = 6;
export const SYN_LINEAR_TIMEOUTS = 4;
export const SYNACK_RETRIES = 5;
/** tcp_retries1, tcp_retries2, and what tcp_orphan_retries 0 stands for. */
export const RETRIES1 = 3;
export const RETRIES2 = 15;
export const ORPHAN_RETRIES = 8;
export const SOMAXCONN = 4096;

export const INIT_CWND = 10;
export const MIN_CWND = 2;
/** TCP_INFINITE_SSTHRESH. */
export const INFINITE_SSTHRESH = 0x7fffffff;
/** tcp_reordering: the duplicate ACK threshold. */
export const DUP_THRESH = 3;
/** TCP_MSS_DEFAULT (RFC 9293 3.7.1), TCP_MIN_MSS, tcp_min_snd_mss. */
export const MSS_DEFAULT = 536;
export const MIN_MSS = 88;
export const MIN_SND_MSS = 48;
/** tcp_rmem: what a socket starts with and the most it gets; half of it is window (tcp_adv_win_scale 1). */
export const RMEM_INIT = 131_072;
export const RMEM_MAX = 33_554_432;
/** tcp_wmem[2]; the least a sender may buffer (SOCK_MIN_SNDBUF and ten segments of tcp_sndbuf_expand). */
export const WMEM_MAX = 4_194_304;
export const MAX_WINDOW = 65_535;
/** tcp_comp_sack and pacing are absent; TCP_RACK_RECOVERY_THRESH counts recoveries a wide window outlasts. */
export const RACK_RECOVERY_THRESH = 16;

/** a < b in sequence space (RFC 9293 3.4). */
export const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const after = (a: number, b: number): boolean => ((b - a) | 0) < 0;
