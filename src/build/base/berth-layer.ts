/**
 * berthLayer(): the last layer of a base image: the program, its other name, its units with what their presets enable, and
 * completion. Made without the tree, so that a new berth leaves the other layers as they are.
 *
 * @see systemd.preset(5); systemd.unit(5), "[Install] Section Options"
 */
import { NO_XATTRS, type Stat } from "../../tree/node.ts";
import { textToByteName } from "../../core/bytes.ts";
import { inPieces } from "./layer-files.ts";
import { compareTarPaths, type TarInput } from "../../format/tar/write.ts";

export interface BerthFiles {
  readonly binary: Buffer;
  /** File names and contents of the project's systemd/ folder. */
  readonly units: ReadonlyMap<string, string>;
  /** Script of bash completion. */
  readonly completion: string;
}

const UNITS = "usr/lib/systemd/system";
const PRESETS = "usr/lib/systemd/system-preset";

/** In canonical order; every time is the epoch. */
export function berthLayer(berth: BerthFiles, epochSec: number): TarInput[] {
  const stat = (mode: number): Stat => ({ mode, uid: 0, gid: 0, mtimeSec: epochSec, mtimeNsec: 0, xattrs: NO_XATTRS });
  const inputs = new Map<string, TarInput>();
  const file = (path: string, mode: number, content: Buffer): void => {
    inputs.set(path, {
      member: { kind: "file", path: textToByteName(path), stat: stat(mode), size: content.length },
      content: inPieces(content),
    });
  };
  const link = (path: string, target: string): void => {
    inputs.set(path, {
      member: { kind: "symlink", path: textToByteName(path), stat: stat(0o777), target: textToByteName(target) },
    });
  };
  file("usr/bin/berth", 0o755, berth.binary);
  link("usr/bin/bootc", "berth");
  file("usr/share/bash-completion/completions/berth", 0o644, Buffer.from(berth.completion));
  link("usr/share/bash-completion/completions/bootc", "berth");
  for (const [name, text] of berth.units) {
    file(`${name.endsWith(".preset") ? PRESETS : UNITS}/${name}`, 0o644, Buffer.from(text));
  }
  for (const [path, target] of enabledUnits(berth.units)) link(path, target);
  return [...inputs.keys()].sort(compareTarPaths).flatMap((path) => inputs.get(path) ?? []);
}

/** Links below /etc/systemd/system for the units that a preset among `units` enables, as `systemctl preset` makes them. */
export function enabledUnits(units: ReadonlyMap<string, string>): Map<string, string> {
  const links = new Map<string, string>();
  const presets = [...units].filter(([name]) => name.endsWith(".preset")).map(([, text]) => text);
  for (const name of presets.flatMap((text) =>
    [...text.matchAll(/^enable\s+(\S+)\s*$/gm)].map((match) => match[1] ?? ""),
  )) {
    const text = units.get(name);
    if (text === undefined) throw new SyntaxError(`preset enables "${name}", which is no unit of berth`);
    for (const [kind, folder] of [
      ["WantedBy", "wants"],
      ["RequiredBy", "requires"],
    ] as const) {
      for (const target of installTargets(text, kind)) {
        links.set(`etc/systemd/system/${target}.${folder}/${name}`, `/${UNITS}/${name}`);
      }
    }
  }
  return links;
}

function installTargets(unit: string, key: string): string[] {
  const section = /^\[Install\]\s*$([\s\S]*?)(?=^\[|(?![\s\S]))/m.exec(unit)?.[1] ?? "";
  return [...section.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].flatMap((match) =>
    (match[1] ?? "").split(/\s+/).filter((word) => word !== ""),
  );
}
