/** What a person writes after `berth run -p`, `-v`, `-e`, `-w` and `--name`, parsed once. Each throws Failure "usage". */
import { Failure } from "../core/failure.ts";
import { textToByteName } from "../core/bytes.ts";
import type { BundleMount } from "./run-process.ts";

export interface PublishedPort {
  /** Address of the host that listens. */
  readonly address: string;
  /** 0 picks a free one. */
  readonly hostPort: number;
  readonly containerPort: number;
}

/** `80`, `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`, each with `/tcp` or without. */
export function parsePublish(text: string): PublishedPort {
  const bad = (why: string): Failure =>
    new Failure("usage", `Cannot publish "${text}": ${why}`, {
      hint: "write [IP:]HOSTPORT:CONTAINERPORT, e.g. 127.0.0.1:8080:80",
    });
  const match = /^(?:(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(?=\d*:))?(?:(\d*):)?(\d+)(?:\/(\w+))?$/.exec(text);
  if (match === null) throw bad("it is not of the form [IP:][HOSTPORT:]CONTAINERPORT");
  const [, six, four, hostPort, containerPort, protocol] = match;
  if (protocol !== undefined && protocol !== "tcp") throw bad(`only tcp can be published, not ${protocol}`);
  const port = (digits: string | undefined): number => {
    const number = Number(digits ?? 0);
    if (number > 65_535) throw bad(`${number} is no port`);
    return number;
  };
  if (port(containerPort) === 0) throw bad("0 is no port of a container");
  if (four !== undefined && !/^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}$/.test(four))
    throw bad(`${four} is no address`);
  return { address: six ?? four ?? "0.0.0.0", hostPort: port(hostPort), containerPort: port(containerPort) };
}

/** `SOURCE:TARGET[:ro]`. Labels (`z`, `Z`) are accepted and mean nothing without SELinux. */
export function parseVolume(text: string): BundleMount {
  const bad = (why: string): Failure =>
    new Failure("usage", `Cannot mount "${text}": ${why}`, {
      hint: "write /DIRECTORY/OF/HOST:/DIRECTORY/OF/CONTAINER[:ro]",
    });
  const [source, target, options, ...more] = text.split(":");
  if (source === undefined || target === undefined || more.length > 0)
    throw bad("it is not of the form SOURCE:TARGET[:ro]");
  if (!source.startsWith("/")) throw bad("the source must be an absolute path of this machine");
  if (!target.startsWith("/") || target === "/")
    throw bad("the target must be an absolute path in the container, and not /");
  const words = options === undefined ? [] : options.split(",");
  const unknown = words.find((word) => !["ro", "rw", "z", "Z"].includes(word));
  if (unknown !== undefined) throw bad(`"${unknown}" is no option, wanted ro or rw`);
  return {
    kind: "bind",
    source: textToByteName(source),
    target: textToByteName(target),
    readOnly: words.includes("ro"),
  };
}

/** `NAME=value`, or `NAME` for the value that it has here; undefined when it has none. */
export function parseEnvironment(text: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const at = text.indexOf("=");
  const name = at < 0 ? text : text.slice(0, at);
  if (!/^[^\s=\0]+$/.test(name)) throw new Failure("usage", `Cannot set variable "${text}": wanted NAME=VALUE`);
  if (at >= 0) return text;
  const value = env[name];
  return value === undefined ? undefined : `${name}=${value}`;
}

export function parseContainerName(text: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(text)) return text;
  throw new Failure(
    "usage",
    `Cannot name a container "${text}": wanted up to 128 letters, digits and _.-, a letter or digit first`,
  );
}

export function parseWorkdir(text: string): string {
  if (text.startsWith("/")) return textToByteName(text);
  throw new Failure("usage", `Cannot work in "${text}": wanted an absolute path in the container`);
}
