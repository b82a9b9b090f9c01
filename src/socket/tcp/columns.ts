// The columns of a TCP socket, one row each: struct sock, inet_connection_sock and tcp_sock of Linux 6.18,
// with their names where one fits. Times are nanoseconds, sequence numbers int32. A row takes 0.6 KB; bytes,
// segments and ranges out of order are elsewhere and only while there are any.

import { NEVER } from "../../core/clock.ts";
import { growF64, growI32, growU8, growU16 } from "../../core/columns.ts";

const FIRST = 64;
/** SACK blocks kept per connection, most recent first (selective_acks[4]). */
export const SACK_BLOCKS = 4;

export class TcpColumns {
  // Identity: namespace, local and remote address and port, and whose events are meant.
  /** TcpFlag bits. */
  flags = new Int32Array(FIRST);
  ns = new Int32Array(FIRST);
  localAddr = new Int32Array(FIRST);
  remoteAddr = new Int32Array(FIRST);
  localPort = new Uint16Array(FIRST);
  remotePort = new Uint16Array(FIRST);
  state = new Uint8Array(FIRST);
  /** SocketKind: who the program is. */
  kind = new Uint8Array(FIRST);
  /** Grows with every tenant of the row. */
  generation = new Int32Array(FIRST);

  // Listeners and who waits: the listener of a request or of a child not yet accepted, the accept queue.
  parent = new Int32Array(FIRST);
  acceptNext = new Int32Array(FIRST);
  /** Of a listener, whose acceptNext is the head; -1 when empty. */
  acceptTail = new Int32Array(FIRST);
  acceptCount = new Int32Array(FIRST);
  backlog = new Int32Array(FIRST);
  /** Requests that wait for their final ACK. */
  requests = new Int32Array(FIRST);

  // Sending (RFC 9293 3.3.1).
  iss = new Int32Array(FIRST);
  sndUna = new Int32Array(FIRST);
  sndNxt = new Int32Array(FIRST);
  sndWnd = new Int32Array(FIRST);
  sndWl1 = new Int32Array(FIRST);
  /** End of the last small segment (Minshall's Nagle). */
  sndSml = new Int32Array(FIRST);
  /** After the last byte the program wrote; a queued FIN stands here. */
  writeSeq = new Int32Array(FIRST);
  maxWindow = new Int32Array(FIRST);
  sndWscale = new Uint8Array(FIRST);
  /** Bytes of data in a full segment without options but timestamps' (mss_cache). */
  mssCache = new Uint16Array(FIRST);
  /** What the peer's MSS option allows. */
  mssClamp = new Uint16Array(FIRST);
  /** What our MSS option says. */
  advmss = new Uint16Array(FIRST);
  /** icsk_pmtu_cookie. */
  pmtu = new Int32Array(FIRST);

  // Segments under way (segments.ts).
  head = new Int32Array(FIRST);
  tail = new Int32Array(FIRST);
  packetsOut = new Int32Array(FIRST);
  sackedOut = new Int32Array(FIRST);
  lostOut = new Int32Array(FIRST);
  retransOut = new Int32Array(FIRST);

  // Congestion control and recovery.
  caState = new Uint8Array(FIRST);
  congestion = new Uint8Array(FIRST);
  cwnd = new Int32Array(FIRST);
  cwndCount = new Int32Array(FIRST);
  /** Most packets out in a window (max_packets_out), and where that window ends. */
  cwndUsed = new Int32Array(FIRST);
  cwndUsedSeq = new Int32Array(FIRST);
  ssthresh = new Int32Array(FIRST);
  highSeq = new Int32Array(FIRST);
  priorCwnd = new Int32Array(FIRST);
  priorSsthresh = new Int32Array(FIRST);
  prrDelivered = new Int32Array(FIRST);
  prrOut = new Int32Array(FIRST);
  undoMarker = new Int32Array(FIRST);
  undoRetrans = new Int32Array(FIRST);
  dupAcks = new Uint8Array(FIRST);
  retransStamp = new Float64Array(FIRST);
  tlpHighSeq = new Int32Array(FIRST);
  /** rack.mstamp, rack.end_seq, rack.rtt. */
  rackTime = new Float64Array(FIRST);
  rackEnd = new Int32Array(FIRST);
  rackRtt = new Float64Array(FIRST);

  // CUBIC: W_max, the origin, the Reno-friendly window, epoch and K in seconds.
  lastMax = new Int32Array(FIRST);
  originPoint = new Int32Array(FIRST);
  renoCwnd = new Float64Array(FIRST);
  epochStart = new Float64Array(FIRST);
  cubicK = new Float64Array(FIRST);
  cubicCount = new Float64Array(FIRST);

  // Round-trip time (RFC 6298 as tcp_rtt_estimator() does it), ns.
  srtt = new Float64Array(FIRST);
  mdev = new Float64Array(FIRST);
  mdevMax = new Float64Array(FIRST);
  rttvar = new Float64Array(FIRST);
  minRtt = new Float64Array(FIRST);
  rto = new Float64Array(FIRST);
  rttSeq = new Int32Array(FIRST);

  // Timers: deadlines, NEVER when off; the event that is in the heap.
  /** Pending: what rtxAt stands for. */
  pending = new Uint8Array(FIRST);
  rtxAt = new Float64Array(FIRST);
  delackAt = new Float64Array(FIRST);
  keepAt = new Float64Array(FIRST);
  scheduled = new Float64Array(FIRST);
  retransmits = new Uint8Array(FIRST);
  backoff = new Uint8Array(FIRST);
  /** Zero-window or keepalive probes without answer. */
  probes = new Uint8Array(FIRST);
  /** TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT; TCP_USER_TIMEOUT (0: none). */
  keepTime = new Float64Array(FIRST);
  keepInterval = new Float64Array(FIRST);
  keepProbes = new Uint8Array(FIRST);
  userTimeout = new Float64Array(FIRST);
  /** When connect() was called. */
  connectedAt = new Float64Array(FIRST);
  lastSent = new Float64Array(FIRST);
  lastReceived = new Float64Array(FIRST);
  lastAck = new Float64Array(FIRST);
  /** When a segment out of window was answered last. */
  oowAck = new Float64Array(FIRST);

  // Receiving.
  irs = new Int32Array(FIRST);
  rcvNxt = new Int32Array(FIRST);
  rcvWup = new Int32Array(FIRST);
  rcvWnd = new Int32Array(FIRST);
  /** copied_seq: what the program has read. */
  copied = new Int32Array(FIRST);
  /** First range out of order (ranges.ts). */
  ofo = new Int32Array(FIRST);
  rcvWscale = new Uint8Array(FIRST);
  rcvSsthresh = new Int32Array(FIRST);
  windowClamp = new Int32Array(FIRST);
  rcvbuf = new Int32Array(FIRST);
  /** DRS: what was read in the round trip that began at rcvqSeq, rcvqTime. */
  rcvqSpace = new Int32Array(FIRST);
  rcvqSeq = new Int32Array(FIRST);
  rcvqTime = new Float64Array(FIRST);
  rcvRtt = new Float64Array(FIRST);
  rcvRttSeq = new Int32Array(FIRST);
  rcvRttTime = new Float64Array(FIRST);
  finSeq = new Int32Array(FIRST);
  dsackSeq = new Int32Array(FIRST);
  dsackEnd = new Int32Array(FIRST);

  // Delayed ACK (icsk_ack).
  quick = new Uint8Array(FIRST);
  pingpong = new Uint8Array(FIRST);
  ato = new Float64Array(FIRST);
  rcvMss = new Uint16Array(FIRST);
  lastSegSize = new Uint16Array(FIRST);

  // Timestamps (RFC 7323).
  tsRecent = new Int32Array(FIRST);
  tsRecentStamp = new Float64Array(FIRST);
  tsOffset = new Int32Array(FIRST);

  // The program.
  error = new Uint8Array(FIRST);
  softError = new Uint8Array(FIRST);
  /** TcpEvent bits it has not been told. */
  events = new Uint8Array(FIRST);
  sndbuf = new Int32Array(FIRST);
  ttl = new Uint8Array(FIRST);
  tos = new Uint8Array(FIRST);
  bytesSent = new Float64Array(FIRST);
  bytesReceived = new Float64Array(FIRST);
  bytesAcked = new Float64Array(FIRST);
  segmentsIn = new Float64Array(FIRST);
  segmentsOut = new Float64Array(FIRST);
  /** Of a listener: connections it has made. */
  connections = new Float64Array(FIRST);
  /** Segments sent again, of all kinds. */
  retransmitted = new Float64Array(FIRST);

  /** SACK_BLOCKS pairs (start, end) per row, and how many there are. */
  sackBlocks = new Int32Array(FIRST * SACK_BLOCKS * 2);
  sackCount = new Uint8Array(FIRST);

  // The columns as they are now, by their width; without the generation.
  private i32: Int32Array[] = [];
  private f64: Float64Array[] = [];
  private u16: Uint16Array[] = [];
  private u8: Uint8Array[] = [];

  constructor() {
    this.buildLists();
  }

  /** Every column of the row to 0, but the generation; what means "none" otherwise to that. */
  protected clear(row: number): void {
    const { i32, f64, u16, u8 } = this;
    for (let c = 0; c < i32.length; c++) i32[c][row] = 0;
    for (let c = 0; c < f64.length; c++) f64[c][row] = 0;
    for (let c = 0; c < u16.length; c++) u16[c][row] = 0;
    for (let c = 0; c < u8.length; c++) u8[c][row] = 0;
    this.parent[row] = this.acceptNext[row] = this.acceptTail[row] = -1;
    this.head[row] = this.tail[row] = this.ofo[row] = -1;
    this.rtxAt[row] = this.delackAt[row] = this.keepAt[row] = this.scheduled[row] = NEVER;
    this.oowAck[row] = -1;
  }

  protected grow(n: number): void {
    for (const c of I32_COLUMNS) this[c] = growI32(this[c], n);
    for (const c of F64_COLUMNS) this[c] = growF64(this[c], n);
    for (const c of U16_COLUMNS) this[c] = growU16(this[c], n);
    for (const c of U8_COLUMNS) this[c] = growU8(this[c], n);
    this.generation = growI32(this.generation, n);
    this.sackBlocks = growI32(this.sackBlocks, n * SACK_BLOCKS * 2);
    this.buildLists();
  }

  private buildLists(): void {
    this.i32 = I32_COLUMNS.map((c) => this[c]);
    this.f64 = F64_COLUMNS.map((c) => this[c]);
    this.u16 = U16_COLUMNS.map((c) => this[c]);
    this.u8 = U8_COLUMNS.map((c) => this[c]);
  }
}

// Columns by their width.
const I32_COLUMNS = [
  "flags",
  "ns",
  "localAddr",
  "remoteAddr",
  "parent",
  "acceptNext",
  "acceptTail",
  "acceptCount",
  "backlog",
  "requests",
  "iss",
  "sndUna",
  "sndNxt",
  "sndWnd",
  "sndWl1",
  "sndSml",
  "writeSeq",
  "maxWindow",
  "pmtu",
  "head",
  "tail",
  "packetsOut",
  "sackedOut",
  "lostOut",
  "retransOut",
  "cwnd",
  "cwndCount",
  "cwndUsed",
  "cwndUsedSeq",
  "ssthresh",
  "highSeq",
  "priorCwnd",
  "priorSsthresh",
  "prrDelivered",
  "prrOut",
  "undoMarker",
  "undoRetrans",
  "tlpHighSeq",
  "rackEnd",
  "lastMax",
  "originPoint",
  "rttSeq",
  "irs",
  "rcvNxt",
  "rcvWup",
  "rcvWnd",
  "copied",
  "ofo",
  "rcvSsthresh",
  "windowClamp",
  "rcvbuf",
  "rcvqSpace",
  "rcvqSeq",
  "rcvRttSeq",
  "finSeq",
  "dsackSeq",
  "dsackEnd",
  "tsRecent",
  "tsOffset",
  "sndbuf",
] as const;
const F64_COLUMNS = [
  "retransStamp",
  "rackTime",
  "rackRtt",
  "renoCwnd",
  "epochStart",
  "cubicK",
  "cubicCount",
  "srtt",
  "mdev",
  "mdevMax",
  "rttvar",
  "minRtt",
  "rto",
  "rtxAt",
  "delackAt",
  "keepAt",
  "scheduled",
  "keepTime",
  "keepInterval",
  "userTimeout",
  "connectedAt",
  "lastSent",
  "lastReceived",
  "lastAck",
  "oowAck",
  "rcvqTime",
  "rcvRtt",
  "rcvRttTime",
  "ato",
  "tsRecentStamp",
  "bytesSent",
  "bytesReceived",
  "bytesAcked",
  "segmentsIn",
  "segmentsOut",
  "connections",
  "retransmitted",
] as const;
const U16_COLUMNS = [
  "localPort",
  "remotePort",
  "mssCache",
  "mssClamp",
  "advmss",
  "rcvMss",
  "lastSegSize",
] as const;
const U8_COLUMNS = [
  "state",
  "kind",
  "sndWscale",
  "caState",
  "congestion",
  "dupAcks",
  "pending",
  "retransmits",
  "backoff",
  "probes",
  "keepProbes",
  "rcvWscale",
  "quick",
  "pingpong",
  "error",
  "softError",
  "events",
  "ttl",
  "tos",
  "sackCount",
] as const;
