// A DNS query that a script sent, and what came back. It reads; it changes nothing.

import { DNS_RCODE_NAMES, type DnsRecord, type DnsReply, decodeDnsReply } from "../wire/dns.ts";
import type { Datagram } from "./handles.ts";
import type { Net } from "./net.ts";
import type { Asked, Lookup } from "./resolver.ts";

export interface ResolveOptions {
  /** Default "A". */
  type?: "A" | "AAAA" | "CNAME" | "TXT" | "SRV" | "PTR";
  /** Name or address of the server. Default the first one of the host's resolv.conf. */
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
    return this.answers.flatMap(({ type, data }) => (type === "A" ? [String(data)] : []));
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

/** A lookup of a program by net.at(…).lookup(…), with every query it took. */
export class NameLookup {
  private readonly net: Net;
  private readonly action: number;

  constructor(net: Net, action: number) {
    this.net = net;
    this.action = action;
  }

  private get data(): Lookup | undefined {
    return this.net.resolver.lookups[this.net.script.outcomes[this.action].handle];
  }

  /** In the order of the answer; empty while it is under way, and when there are none. */
  get addresses(): readonly string[] {
    return this.data?.addresses ?? [];
  }

  /** "ENOTFOUND" when no name exists, "EAI_AGAIN" when nobody answered; null otherwise. */
  get error(): string | null {
    return this.data?.error ?? null;
  }

  /** Queries in the order they were sent. */
  get asked(): readonly Asked[] {
    return this.data?.asked ?? [];
  }

  /** ns; null while it is under way. */
  get finishedAt(): number | null {
    const at = this.data?.finishedAt ?? -1;
    return at < 0 ? null : at;
  }
}
