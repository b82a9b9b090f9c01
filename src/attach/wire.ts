// A wire to the real world, whatever it is made of: a TAP device, a packet socket, a stream.

/** What a wire tells the attachment it belongs to. */
export interface WireEnd {
  /** A frame, valid during the call. */
  receive(frame: Uint8Array): void;
  /** Something that whoever watches should know: a peer came or went. */
  say(text: string): void;
  /** The far side has gone and will not come back. */
  lost(why: string): void;
}

export interface Wire {
  /** "TAP device vnetem0". */
  readonly name: string;
  /** The interface at the far end has been told what it stands for. */
  readonly configured: boolean;
  /** Begins to bring frames: calls of `enter` around those of the end. */
  open(end: WireEnd, enter: (work: () => void) => void): void;
  /** Sends one frame; false when it was lost: the far side is down or does not read. */
  send(bytes: Uint8Array, at: number, length: number): boolean;
  /** Sends what send() has kept back; called when the emulation has come to rest. */
  flush(): void;
  close(): void;
}
