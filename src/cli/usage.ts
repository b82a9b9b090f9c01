// What commander finds wrong with a command line, in one line that names the nearest word there is. Its own
// suggestions know neither "--pacp=x" nor "help rnu", and give up on words that are far off.

import type { Command, CommanderError } from "commander";
import { closest } from "fastest-levenshtein";

export function usageLine(program: Command, error: CommanderError, args: readonly string[]): string {
  const [first = "", second = ""] = args;
  const group = program.commands.find((c) => c.name() === first && c.commands.length > 0);
  if (group !== undefined) return usageLine(group, error, args.slice(1));
  if (error.code === "commander.help") {
    return first === "help" && second !== ""
      ? unknownCommand(program, second)
      : "name a command; see vnetem --help";
  }
  if (error.code === "commander.unknownCommand") return unknownCommand(program, first);
  const message = error.message.replace(/^error: /, "");
  if (error.code !== "commander.unknownOption") return message;
  const option = /'([^'=]+)/.exec(message)?.[1] ?? "";
  const command = program.commands.find((c) => c.name() === first) ?? program;
  const known = [...command.options.flatMap((o) => o.long ?? []), "--help"];
  return `unknown option '${option}'; did you mean ${closest(option, known)}?`;
}

function unknownCommand(program: Command, word: string): string {
  const known = [...program.commands.map((c) => c.name()), "help"];
  return `unknown command '${word}'; did you mean ${closest(word, known)}?`;
}
