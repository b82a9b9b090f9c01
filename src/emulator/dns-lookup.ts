// A DNS query that a script sent, and what came back. It reads; it changes nothing.

import { DNS_RCODE_NAMES, type DnsRecord, type DnsReply, decodeDnsReply } from "../wire/dns.ts";
import type { Datagram } from "./handles.ts";

export interface ResolveOptions {
  /** Default "A". */
  type?: "A" | "AAAA" | "CNAME" | "TXT";
  /** Name or address of the server. Default 168.63.129.16. */
  server?: string;
}

/** A query sent by net.at(…).resolve(…). */
export class DnsLookup {
  /** The datagram that asked. */
  readonly query: Datagram;

  constructor(query: Datagram) {
    this.query = query;
  }

  /** "NOERROR", "NXDOMAIN", …; null while there is no answer. */
  get rcode(): string | null {
    const { reply } = this;
    return reply === null ? null : (DNS_RCODE_NAMES[reply.rcode] ?? String(reply.rcode));
  }

  /** Addresses in the answer, in its order. */
  get addresses(): string[] {
    return this.answers.filter(({ type }) => type === "A").map(({ data }) => data);
  }

  /** Records in the answer, aliases first. */
  get answers(): readonly DnsRecord[] {
    return this.reply?.answers ?? [];
  }

  /** The whole answer would not fit into a datagram: ask over TCP. */
  get truncated(): boolean {
    return this.reply?.truncated ?? false;
  }

  private get reply(): DnsReply | null {
    const got = this.query.reply;
    return got === null ? null : decodeDnsReply(got.payload);
  }
}
