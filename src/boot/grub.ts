/**
 * grub.cfg made of boot entries. It lies inside loader/entries, so that exchanging that directory switches systemd-boot and GRUB in
 * one step; systemd-boot reads only `*.conf` there.
 *
 * @see GNU GRUB manual, "Shell-like scripting"
 */
import type { NamedEntry } from "./bls.ts";

/** File name below loader/entries. */
export const GRUB_CONFIG = "grub.cfg";

/** Seconds that GRUB's menu is shown. */
const TIMEOUT_SECONDS = 1;

/** `entries` in menu order, default first. Kernels are found on the file system that holds them, the one with this file first. */
export function formatGrubConfig(entries: readonly NamedEntry[]): string {
  const head = ["set default=0", `set timeout=${TIMEOUT_SECONDS}`, 'set esp="$root"'];
  const menu = entries.flatMap(({ name, entry }) => {
    if (entry.linux === undefined) return [];
    const title = entry.title ?? name;
    return [
      `menuentry ${quote(title)} --id ${quote(name.replace(/\.conf$/, ""))} {`,
      `  search --no-floppy --file --set=root --hint="$esp" ${quote(entry.linux)}`,
      `  linux ${quote(entry.linux)} ${words(entry.options)}`.trimEnd(),
      ...(entry.initrd.length === 0 ? [] : [`  initrd ${entry.initrd.map(quote).join(" ")}`]),
      "}",
    ];
  });
  return `${[...head, ...menu].join("\n")}\n`;
}

/** In single quotes GRUB takes everything literally; a single quote itself stands outside of them. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * Kernel arguments one by one: plain ones bare, as people expect to see them in the menu's editor. The kernel's own double quotes
 * are left out: GRUB puts an argument with blanks into quotes by itself, and would hand over quotes inside it with backslashes.
 */
function words(options: string): string {
  return options
    .split(/\s+(?=(?:[^"]*"[^"]*")*[^"]*$)/)
    .filter((word) => word !== "")
    .map((word) => (/^[A-Za-z0-9_.,:=@%+/-]+$/.test(word) ? word : quote(word.replaceAll('"', ""))))
    .join(" ");
}
