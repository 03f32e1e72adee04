/** loader.conf of systemd-boot. */

export interface LoaderConf {
  /** 0 boots the default without showing a menu. */
  readonly timeoutSeconds: number;
  /** A glob over entry names; without it the first of the sorted menu is the default, which is what deployments rely on. */
  readonly default?: string;
}

export function formatLoaderConf(conf: LoaderConf): string {
  return `timeout ${conf.timeoutSeconds}\n${conf.default === undefined ? "" : `default ${conf.default}\n`}`;
}
