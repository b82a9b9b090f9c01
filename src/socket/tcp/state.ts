// States and flags of a TCP socket: include/net/tcp_states.h, and the bits of struct tcp_sock, struct
// inet_connection_sock and struct sock that are one bit.

export const TcpState = {
  FREE: 0,
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
  /** A request of a listener (struct request_sock). */
  NEW_SYN_RECV: 12,
} as const;
export type TcpState = (typeof TcpState)[keyof typeof TcpState];

const names: string[] = [];
for (const [name, value] of Object.entries(TcpState)) names[value] = name;
/** Names by number, as ss(8) and RFC 9293 write them. */
export const TCP_STATE_NAMES: readonly string[] = names;

export const TcpFlag = {
  /** rx_opt.sack_ok, tstamp_ok, wscale_ok. */
  SACK: 1,
  TS: 1 << 1,
  WSCALE: 1 << 2,
  /** SOCK_DEAD: the program has closed it. */
  DEAD: 1 << 3,
  RCV_SHUTDOWN: 1 << 4,
  SEND_SHUTDOWN: 1 << 5,
  /** A FIN stands behind the last byte of the send queue. */
  FIN_QUEUED: 1 << 6,
  /** SOCK_DONE: the peer's FIN was received. */
  DONE: 1 << 7,
  /** TCP_NODELAY, SO_KEEPALIVE, IP_RECVERR. */
  NODELAY: 1 << 8,
  KEEPALIVE: 1 << 9,
  RECVERR: 1 << 10,
  /** icsk_ack.pending: ICSK_ACK_SCHED, _TIMER, _NOW, _PUSHED, _PUSHED2. */
  ACK_SCHED: 1 << 11,
  ACK_TIMER: 1 << 12,
  ACK_NOW: 1 << 13,
  ACK_PUSHED: 1 << 14,
  ACK_PUSHED2: 1 << 15,
  /** duplicate_sack holds a block. */
  DSACK: 1 << 16,
  CWND_LIMITED: 1 << 17,
  /** rack.reord_seen and rack.advanced. */
  REORDERED: 1 << 18,
  RACK_ADVANCED: 1 << 19,
  /** The program's events are in the ring of `Tcp.ready`. */
  QUEUED: 1 << 20,
  /** inet_rsk(req)->acked: the final ACK came while the accept queue was full. */
  ACKED: 1 << 21,
  /** tlp_retrans: the loss probe was a retransmission. */
  TLP_RETRANS: 1 << 22,
  /** The program has seen the connection (it was connected or accepted). */
  ACCEPTED: 1 << 23,
  /** A FIN arrived out of order; finSeq says where it stands. */
  FIN_SEEN: 1 << 24,
} as const;

/** icsk_ca_state. */
export const CaState = { OPEN: 0, DISORDER: 1, CWR: 2, RECOVERY: 3, LOSS: 4 } as const;

/** icsk_pending: what the retransmission timer stands for. */
export const Pending = { NONE: 0, RETRANS: 1, PROBE: 3, LOSS_PROBE: 5, REORDER: 6 } as const;

/** What a program is told of its socket (poll(2)). */
export const TcpEvent = {
  /** connect() has succeeded. */
  CONNECTED: 1,
  /** accept() has something to give. */
  ACCEPT: 2,
  /** Bytes to read. */
  READ: 4,
  /** Room to write again. */
  WRITE: 8,
  /** The peer has sent its FIN: after what waits, read gives 0. */
  END: 16,
  /** sk_err is set; the connection is gone. */
  ERROR: 32,
  /** The state is CLOSE. */
  CLOSED: 64,
} as const;

export const Congestion = { CUBIC: 0, RENO: 1 } as const;
export type Congestion = (typeof Congestion)[keyof typeof Congestion];
