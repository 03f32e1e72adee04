/**
 * readDeployments(): everything the machine knows about its deployments, as values: menus, origins, what is staged.
 */
import { isFailure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { MENU, originPath, STAGED_MENU } from "./layout.ts";
import { type Menu, type MenuEntry, readMenu } from "./menu.ts";
import { type Origin, parseOrigin } from "./origin.ts";
import { readStaged, type StagedState } from "./staged-file.ts";

export interface Deployments {
  readonly bootedId: string;
  /** What the boot loader shows, default first; entries without an origin included. */
  readonly menu: Menu;
  readonly stagedMenu: Menu;
  /** Only when the staged menu and the state directory stand behind the file. */
  readonly staged: (StagedState & { readonly entry: MenuEntry }) | undefined;
  readonly booted: MenuEntry | undefined;
  /** What `rollback` makes the default. */
  readonly rollback: MenuEntry | undefined;
  /** The default of the next boot is not the booted deployment, and nothing is staged over it. */
  readonly rollbackQueued: boolean;
  readonly origins: ReadonlyMap<string, Origin>;
  /** One line for each thing that was skipped. */
  readonly problems: readonly string[];
}

export interface DeploymentPlaces {
  /** Physical root. */
  readonly path: string;
  readonly esp: string;
  readonly bootedId: string;
}

export function readDeployments(files: Files, places: DeploymentPlaces): Deployments {
  const menu = readMenu(files, places.esp, MENU);
  const stagedMenu = readMenu(files, places.esp, STAGED_MENU);
  const problems = [...menu.problems, ...stagedMenu.problems];
  const origins = new Map<string, Origin>();
  for (const { id } of [...menu.entries, ...stagedMenu.entries]) {
    if (origins.has(id)) continue;
    const origin = readOrigin(files, places.path, id, problems);
    if (origin !== undefined) origins.set(id, origin);
  }
  const known = menu.entries.filter((entry) => origins.has(entry.id));
  const marker = readStaged(files);
  const stagedEntry = marker && stagedMenu.entries.find((entry) => entry.id === marker.id && origins.has(entry.id));
  // What runs is shown, and can be left for another image, even where its origin is lost.
  const booted = menu.entries.find((entry) => entry.id === places.bootedId);
  const rollback = known.find((entry) => entry.id !== places.bootedId);
  const first = menu.entries[0];
  return {
    bootedId: places.bootedId,
    menu,
    stagedMenu,
    staged: marker && stagedEntry && { ...marker, entry: stagedEntry },
    booted,
    rollback,
    rollbackQueued: first !== undefined && rollback !== undefined && first.id === rollback.id,
    origins,
    problems,
  };
}

function readOrigin(files: Files, sysroot: string, id: string, problems: string[]): Origin | undefined {
  try {
    const text = files.readTextIfAny(originPath(sysroot, id));
    if (text !== undefined) return parseOrigin(text);
    problems.push(`No origin file for deployment ${id}`);
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError || isFailure(error))) throw error;
    problems.push(`Origin of deployment ${id} cannot be read: ${error.message}`);
    return undefined;
  }
}
