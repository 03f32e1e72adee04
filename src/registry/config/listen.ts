/** Listen: an address that the server listens on, as `HOST:PORT`. */
import { Failure } from "../../core/failure.ts";
import { type Field, parsed } from "./fields.ts";

export interface Listen {
  readonly host: string;
  readonly port: number;
}

const LISTEN = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]*):(\d{1,5})$/;

export function listenField(description: string): Field<Listen> {
  return parsed(`${description}: HOST:PORT, [IPv6]:PORT, or :PORT for every address`, LISTEN.source, parseListen);
}

/** `HOST:PORT`, `[IPv6]:PORT` or `:PORT` for every address. Throws SyntaxError. */
export function parseListen(text: string): Listen {
  const match = LISTEN.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535) {
    throw new SyntaxError(`Cannot listen on ${JSON.stringify(text.slice(0, 200))}: wanted HOST:PORT`);
  }
  return { host: match[1] === "" ? "::" : match[1].replace(/^\[|\]$/g, ""), port };
}

export function formatListen(listen: Listen): string {
  return `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
}

/** Failure "usage" for `--listen`. */
export function listenFlag(text: string): Listen {
  try {
    return parseListen(text);
  } catch (error) {
    throw new Failure("usage", "Cannot use --listen", { cause: error });
  }
}
