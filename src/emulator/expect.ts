// Expectations of a topology script. A failed one throws ExpectationError, which `vnetem run` prints and
// turns into exit 1.

import { ExpectationError } from "./errors.ts";
import { Sent } from "./handles.ts";
import { Net } from "./net.ts";

class SentExpectation {
  private readonly sent: Sent;

  constructor(sent: Sent) {
    this.sent = sent;
  }

  /** An answer came back. */
  toArrive(): void {
    const { sent } = this;
    if (sent.reply !== null) return;
    throw new ExpectationError(`expected an answer, but ${fate(sent)}`);
  }

  /** The packet was delivered to this pod, node or VM. */
  toArriveAt(name: string): void {
    if (this.sent.deliveredTo === name) return;
    throw new ExpectationError(`expected delivery to ${name}, but ${fate(this.sent)}`);
  }

  /** It was dropped, for this reason if one is named. */
  toBeDropped(reason?: string): void {
    const { dropReason } = this.sent;
    if (dropReason !== null && (reason === undefined || reason === dropReason)) return;
    const wanted = reason === undefined ? "a drop" : `a drop with ${reason}`;
    throw new ExpectationError(`expected ${wanted}, but ${fate(this.sent)}`);
  }

  /** The sender's socket got this error, such as "ECONNREFUSED". */
  toFailWith(error: string): void {
    if (this.sent.error === error) return;
    throw new ExpectationError(`expected ${error}, but ${fate(this.sent)}`);
  }

  /** No answer came. */
  toGetNoAnswer(): void {
    if (this.sent.reply === null) return;
    throw new ExpectationError(`expected no answer, but ${fate(this.sent)}`);
  }
}

class NetExpectation {
  private readonly net: Net;

  constructor(net: Net) {
    this.net = net;
  }

  /** Nothing was dropped anywhere. */
  toHaveNoDrops(): void {
    const drops = this.net.drops();
    if (drops.length === 0) return;
    const list = drops.map((d) => `${d.packets} ${d.reason} at ${d.device}`).join(", ");
    throw new ExpectationError(`expected no drops, but there were ${list}`);
  }
}

class ValueExpectation<T> {
  private readonly value: T;

  constructor(value: T) {
    this.value = value;
  }

  toBe(wanted: T): void {
    if (Object.is(this.value, wanted)) return;
    throw new ExpectationError(`expected ${show(wanted)}, got ${show(this.value)}`);
  }

  toEqual(wanted: T): void {
    if (show(this.value) === show(wanted)) return;
    throw new ExpectationError(`expected ${show(wanted)}, got ${show(this.value)}`);
  }

  toBeAtMost(limit: number): void {
    if (typeof this.value === "number" && this.value <= limit) return;
    throw new ExpectationError(`expected at most ${limit}, got ${show(this.value)}`);
  }

  toBeAtLeast(limit: number): void {
    if (typeof this.value === "number" && this.value >= limit) return;
    throw new ExpectationError(`expected at least ${limit}, got ${show(this.value)}`);
  }
}

/**
 * What a script expects: of a datagram or ping, of the emulation, or of any value.
 * @example expect(reply).toArrive(); expect(net).toHaveNoDrops(); expect(report.lost).toBe(0);
 */
export function expect(sent: Sent): SentExpectation;
export function expect(net: Net): NetExpectation;
export function expect<T>(value: T): ValueExpectation<T>;
export function expect(subject: unknown): SentExpectation | NetExpectation | ValueExpectation<unknown> {
  if (subject instanceof Sent) return new SentExpectation(subject);
  if (subject instanceof Net) return new NetExpectation(subject);
  return new ValueExpectation(subject);
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value);

function fate(sent: Sent): string {
  if (sent.packet === 0)
    return sent.error === null ? "it was never sent" : `sending failed with ${sent.error}`;
  const parts: string[] = [];
  if (sent.deliveredTo !== null) parts.push(`packet ${sent.packet} was delivered to ${sent.deliveredTo}`);
  if (sent.dropReason !== null)
    parts.push(`packet ${sent.packet} was dropped at ${sent.droppedAt}: ${sent.dropReason}`);
  if (sent.error !== null) parts.push(`the sender got ${sent.error}`);
  if (sent.reply !== null) parts.push(`an answer came from ${sent.reply.from}:${sent.reply.port}`);
  return parts.length === 0
    ? `packet ${sent.packet} is still under way or was lost on a link`
    : parts.join(" and ");
}
