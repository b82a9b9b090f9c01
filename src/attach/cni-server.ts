// CNI for real containers: what `vnetem cni --attach` asks of a running emulation, over a Unix socket. ADD
// makes the emulated pod as ever, and then a TAP device in the network namespace CNI_NETNS names, which has
// the interface's name, MAC, addresses and routes and is the pod's end of its veth. DEL takes both away. A
// request is one line of JSON, and so is its answer; calls are answered one after the other.

import type { Server, Socket } from "node:net";
import { AttachmentState } from "../cni/attachments.ts";
import { cniCommand } from "../emulator/cni-command.ts";
import { UnknownNameError } from "../emulator/hosts.ts";
import { AttachError } from "./attach-error.ts";
import { listenAt } from "./listen.ts";
import type { LiveNet } from "./live-net.ts";

/** What the plugin was called with. */
export interface CniRequest {
  /** CNI_COMMAND and its companions. */
  env: Readonly<Record<string, string>>;
  stdin: string;
  /** The node whose runtime calls; the first when left out. */
  node?: string;
}

export interface CniResponse {
  stdout: string;
  exitCode: number;
}

/** CNI error codes: 3 unknown container, 4 invalid environment variables. */
const CNI_UNKNOWN_CONTAINER = 3;
const CNI_ENVIRONMENT = 4;
const REQUEST_MAX = 1 << 20;

export class CniServer {
  private readonly live: LiveNet;
  private readonly server: Server;
  private turn: Promise<void> = Promise.resolve();

  private constructor(live: LiveNet, server: Server) {
    this.live = live;
    this.server = server;
    server.on("connection", (socket) => this.serve(socket));
  }

  /** @param path of the Unix socket @throws AttachError when it cannot be had */
  static async listen(live: LiveNet, path: string): Promise<CniServer> {
    return new CniServer(live, await listenAt({ path }, path));
  }

  close(): void {
    this.server.close();
  }

  private serve(socket: Socket): void {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", (more: string) => {
      text += more;
      if (text.length > REQUEST_MAX) socket.destroy();
      if (!text.endsWith("\n")) return;
      const request = text;
      text = "";
      this.turn = this.turn.then(async () => {
        socket.end(`${JSON.stringify(await this.answer(request))}\n`);
      });
    });
  }

  private async answer(text: string): Promise<CniResponse> {
    let request: CniRequest;
    try {
      request = JSON.parse(text) as CniRequest;
    } catch {
      return failure(CNI_ENVIRONMENT, "not a line of JSON");
    }
    const { env = {}, stdin = "" } = request;
    try {
      const response = this.perform(request, env.CNI_COMMAND ?? "");
      if (env.CNI_COMMAND !== "ADD" || response.exitCode !== 0) return response;
      await this.plug(env);
      return response;
    } catch (error) {
      if (!(error instanceof AttachError || error instanceof UnknownNameError)) throw error;
      // What was made of an ADD that failed is taken away again.
      if (env.CNI_COMMAND === "ADD" && error instanceof AttachError)
        this.perform({ ...request, stdin }, "DEL");
      return failure(CNI_UNKNOWN_CONTAINER, error.message);
    }
  }

  private perform({ env, stdin, node }: CniRequest, command: string): CniResponse {
    const response: CniResponse = { stdout: "", exitCode: 0 };
    this.live.time.enter(() => {
      const all = { ...env, CNI_COMMAND: command };
      Object.assign(response, cniCommand(this.live.net, node, all, stdin));
    });
    return response;
  }

  // The TAP device, for an attachment that has none yet.
  private async plug(env: CniRequest["env"]): Promise<void> {
    const { cni } = this.live.net;
    const { pods } = cni;
    for (let row = 0; row < pods.ids.used; row++) {
      if (pods.state[row] !== AttachmentState.WIRED || pods.netns[row] !== env.CNI_NETNS) continue;
      if (pods.containerIdOf(row) !== env.CNI_CONTAINERID || pods.ifname[row] !== env.CNI_IFNAME) continue;
      const name = pods.pod[row] || pods.containerIdOf(row).slice(0, 12);
      const host = {
        kind: "pod" as const,
        name,
        ns: pods.ns[row],
        dev: pods.podDev[row],
        ip: pods.address[row],
      };
      if (this.live.isAttached(host.dev)) continue;
      await this.live.tapIn(pods.netns[row], pods.ifname[row], host);
    }
  }
}

function failure(code: number, msg: string): CniResponse {
  return { stdout: `${JSON.stringify({ cniVersion: "1.1.0", code, msg })}\n`, exitCode: 1 };
}
