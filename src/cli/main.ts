#!/usr/bin/env node
// The vnetem command. Each subcommand is a thin file beside this one; parsing and help are commander's.

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { EXIT_USAGE, report } from "./errors.ts";
import { usageLine } from "./usage.ts";

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

let exitCode = 0;

// `vnetem run … | head` closes our stdout: nobody reads on, so there is nothing left to do or to say.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

function action<A extends unknown[]>(run: (...args: A) => Promise<number>): (...args: A) => Promise<void> {
  return async (...args) => {
    exitCode = await run(...args);
  };
}

function program(): Command {
  const vnetem = new Command("vnetem");
  vnetem
    .description("packet-level emulator of the data plane under a Kubernetes cluster on Azure")
    .version(version)
    // What follows "bench sweep" is the sweep's, not bench's option of the same name.
    .enablePositionalOptions()
    .showHelpAfterError(false);
  vnetem
    .command("run <topology>")
    .description("build a topology, run its script and print what happened")
    .option("--seed <n>", "another seed than the topology's")
    .option("--pcap <dir>", "capture every interface into <dir>/<topology>.pcapng")
    .option("--record <file>", "write a record of every stage of every packet")
    .option("--live [speed]", "watch pods, rates and events; virtual seconds a second, default 10")
    .option("--on <topology>", "apply <topology>, a Kubernetes manifest, to the cluster of this one")
    .option("--json", "print one JSON object and nothing else")
    .action(action(async (file, options) => (await import("./run.ts")).run(file, options)));
  vnetem
    .command("explain <topology> <from> <to>")
    .description("one packet's way there and back, stage by stage; <to> is name, name:port or address:port")
    .option("--proto <protocol>", "udp, tcp or icmp", "udp")
    .option("--after", "run the topology's script first")
    .option("--on <topology>", "apply <topology>, a Kubernetes manifest, to the cluster of this one")
    .option("--seed <n>", "another seed than the topology's")
    .option("--json", "print one JSON object and nothing else")
    .action(
      action(async (file, from, to, options) =>
        (await import("./explain.ts")).explain(file, from, to, options),
      ),
    );
  vnetem
    .command("show <topology> <host> <table>")
    .description(
      "link, addr, route, neigh, fdb, conntrack, nat or drops of a node, pod or VM, after the script has run",
    )
    .option("--on <topology>", "apply <topology>, a Kubernetes manifest, to the cluster of this one")
    .option("--seed <n>", "another seed than the topology's")
    .option("--json", "print one JSON object and nothing else")
    .action(
      action(async (file, host, what, options) =>
        (await import("./show.ts")).show(file, host, what, options),
      ),
    );
  vnetem
    .command("get <topology> <what>")
    .description("nodes, pods, services, endpoints, deployments or events, after the script has run")
    .option("-n, --namespace <name>", "of one namespace only")
    .option("-o, --output <format>", "wide: more columns")
    .option("--cluster <name>", "default the first")
    .option("--on <topology>", "apply <topology>, a Kubernetes manifest, to the cluster of this one")
    .option("--seed <n>", "another seed than the topology's")
    .option("--json", "print one JSON object and nothing else")
    .action(action(async (file, what, options) => (await import("./get.ts")).get(file, what, options)));
  const bench = addBench(vnetem);
  vnetem
    .command("cni")
    .description("one CNI command against a saved emulation: environment and stdin in, result JSON out")
    .option(
      "--state <file>",
      "the saved emulation",
      process.env.VNETEM_STATE ?? "/var/run/vnetem/state.vnetem",
    )
    .option("--init <topology>", "make the saved emulation from a topology, and stop")
    .option("--node <name>", "the node whose runtime calls; default the first")
    .option("--attach <socket>", "ask a running vnetem attach --cni instead: CNI_NETNS becomes a pod")
    .action(action(async (options) => (await import("./cni.ts")).cni(options)));
  addAttach(vnetem);
  const diagnose = addDiagnose(vnetem);
  const from = vnetem.command("import").description("topologies out of other descriptions");
  from
    .command("azure <files...>")
    .description("a topology out of what az network ... -o json or ARM templates say")
    .option("-o, --output <file>", "write the topology there; default stdout")
    .action(action(async (files, options) => (await import("./import.ts")).azure(files, options)));
  for (const command of [
    vnetem,
    ...vnetem.commands,
    ...bench.commands,
    ...diagnose.commands,
    ...from.commands,
  ]) {
    command
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .showSuggestionAfterError(false);
  }
  return vnetem;
}

function addBench(vnetem: Command): Command {
  const bench = vnetem
    .command("bench [scenario...]")
    .description(
      "throughput of l2, pod, vip, connect, bulk, request, http, idle, tap, build, control, or micro",
    )
    .option("--flows <n>", "flows; default 1000, for connect 100000")
    .option("--bytes <n>", "bytes of an Ethernet frame with its checksum", "64")
    .option("--churn <n>", "pod replacements per second", "0")
    .option("--no-flow-cache", "let every packet walk")
    .option("--services <n>", "Services of the cluster", "1")
    .option("--cni <mode>", "how pods are attached", "azure-bridge")
    .option("--backends <n>", "endpoints of the Service, 200 on a node", "200")
    .option(
      "--beside <what>",
      "measure in turns with vip in this machine's kernel: kernel; or with a program like limit.c: its path",
    )
    .option("--profile", "sample while it runs, and say the nanoseconds of each stage")
    .option("--seconds <s>", "seconds to measure", "3")
    .option("--json", "print one JSON object per scenario and nothing else")
    .action(action(async (scenarios, options) => (await import("./bench.ts")).bench(scenarios, options)));
  bench
    .enablePositionalOptions()
    .command("sweep")
    .description("measure vip over a grid of settings; write sweep.json and sweep.html")
    .option("--flows <list>", "flows; default 1,1000,65536,1000000")
    .option("--bytes <list>", "bytes of an Ethernet frame with its checksum; default 64,512,1500")
    .option("--churn <list>", "pod replacements per second; default 0,20,400,10000")
    .option("--services <list>", "Services of the cluster; default 1,1000,10000")
    .option("--cni <list>", "how pods are attached; default all five ways")
    .option("--seconds <s>", "seconds to measure at each point; default 1")
    .option("--quick", "few of everything where no list is given")
    .option("-o, --output <dir>", "where the files go", "sweep")
    .option("--json", "print the JSON as well, and nothing else")
    .action(action(async (options) => (await import("./sweep.ts")).sweep(options)));
  return bench;
}

function addAttach(vnetem: Command): void {
  const wires: { kind: "tap" | "packet" | "stream"; value: string }[] = [];
  const wire =
    (kind: (typeof wires)[number]["kind"]) =>
    (value: string): void => {
      wires.push({ kind, value });
    };
  vnetem
    .command("attach <topology> [command...]")
    .description("real interfaces in the place of pods, VMs or nodes; a command after -- runs as one of them")
    .option("--tap <name>", "a TAP device, made when it is not there", wire("tap"))
    .option("--packet <name>", "an interface, one end of a veth, by a packet socket", wire("packet"))
    .option(
      "--stream <address>",
      "Ethernet as QEMU and passt stream it: a path or host:port to listen on, or connect:...",
      wire("stream"),
    )
    .option(
      "--as <host>",
      "what it stands for: pod/NAME, vm/NAME or node/NAME",
      (host: string, more: string[] | undefined) => [...(more ?? []), host],
    )
    .option("--netns <name>", "the network namespace the interfaces are in")
    .option("--cni <socket>", "answer vnetem cni --attach there: real containers become pods")
    .option("--for <seconds>", "stop after so long")
    .option("--seed <n>", "another seed than the topology's")
    .action(
      action(async (file, command, options) =>
        (await import("./attach.ts")).attach(file, command, { ...options, wires }),
      ),
    );
}

function addDiagnose(vnetem: Command): Command {
  const diagnose = vnetem.command("diagnose").description("questions about the Azure network");
  const ask = (name: string, args: string, description: string): Command =>
    diagnose
      .command(`${name} <topology> ${args}`)
      .description(description)
      .option("--after", "run the topology's script first")
      .option("--seed <n>", "another seed than the topology's")
      .option("--json", "print one JSON value and nothing else");
  const load = () => import("./diagnose.ts");
  ask("ip-flow", "<host> <direction> <local> <remote>", "which security rule decides about a connection")
    .option("--proto <protocol>", "tcp or udp", "tcp")
    .action(
      action(async (file, host, direction, local, remote, options) =>
        (await load()).ipFlow(file, host, direction, local, remote, options),
      ),
    );
  diagnose
    .command("flow-logs <topology> [vnet]")
    .description("VNet flow logs of what the topology's script does, version 4")
    .option("--seed <n>", "another seed than the topology's")
    .option("--json", "print one JSON value and nothing else")
    .action(action(async (file, vnet, options) => (await load()).flowLogs(file, vnet, options)));
  ask("next-hop", "<host> <destination>", "which route decides about a destination").action(
    action(async (file, host, to, options) => (await load()).nextHop(file, host, to, options)),
  );
  ask("routes", "<host>", "effective routes").action(
    action(async (file, host, options) => (await load()).routes(file, host, options)),
  );
  ask("rules", "<host>", "effective security rules").action(
    action(async (file, host, options) => (await load()).rules(file, host, options)),
  );
  ask("connect", "<from> <to>", "would a connection come about; the hops and what is wrong there")
    .option("--proto <protocol>", "tcp, udp or icmp", "tcp")
    .action(action(async (file, from, to, options) => (await load()).connect(file, from, to, options)));
  ask("matrix", "[hosts...]", "who reaches whom, and the rule or route that decides")
    .option("--proto <protocol>", "tcp, udp or icmp", "tcp")
    .option("--port <n>", "destination port", "80")
    .action(action(async (file, hosts, options) => (await load()).matrix(file, hosts, options)));
  return diagnose;
}

const vnetem = program();
try {
  await vnetem.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (exitCode !== 0) console.error(`vnetem: ${usageLine(vnetem, error, process.argv.slice(2))}`);
  } else exitCode = report(error);
}
process.exitCode = exitCode;
