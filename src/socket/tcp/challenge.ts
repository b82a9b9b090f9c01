// Answers of RFC 5961. Mirrors tcp_send_challenge_ack() in net/ipv4/tcp_input.c; the limit is 500 ms per
// socket (tcp_invalid_ratelimit), the one for the whole host is off, as on Linux 6.18.

import { rateLimited } from "./ack-policy.ts";
import { INVALID_RATELIMIT } from "./constants.ts";
import { sendAck } from "./output.ts";
import type { Tcp } from "./table.ts";

export function sendChallengeAck(t: Tcp, row: number): void {
  if (!rateLimited(t, row, INVALID_RATELIMIT)) sendAck(t, row);
}
