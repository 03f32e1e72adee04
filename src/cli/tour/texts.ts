/** The files of the story: what a user writes by hand. */

/** The registry's name, as in the tutorial; on this machine it is the loopback, in the virtual machine it is the host. */
export const REGISTRY = "podman.example.com:5000";

export const USER = "registryuser";
export const PASSWORD = "registrypass";

export const IMAGE_12 = `${REGISTRY}/debian12-bootc:deploy`;
export const IMAGE_13 = `${REGISTRY}/debian13-bootc:latest`;

/** `more`: packages besides the tutorial's. */
export function containerfile(base: string, more: readonly string[] = []): string {
  return [
    `FROM ${base}`,
    "ADD index.html /var/www/html/index.html",
    "RUN apt-get update && apt-get install -y --no-install-recommends nginx \\",
    "    openssh-server \\",
    "    nftables \\",
    "    chrony \\",
    "    vim \\",
    ...more.map((name) => `    ${name} \\`),
    "    man-db \\",
    "    bash-completion && \\",
    "    apt-get clean",
    "RUN mandb --quiet",
    "RUN systemctl enable nginx ssh nftables",
    "RUN berth container lint",
    "",
  ].join("\n");
}

export const PAGE = "This page is served from a webserver running on a Debian image mode system.";

export function indexHtml(text: string): string {
  return [
    "<!DOCTYPE html>",
    '<html lang="en">',
    "  <head>",
    '    <meta charset="utf-8">',
    "    <title>Bootc Demo Page</title>",
    "  </head>",
    "  <body>",
    `    <p>${text}</p>`,
    "  </body>",
    "</html>",
    "",
  ].join("\n");
}

/** The tutorial's drop-in for a registry with a self-signed certificate. */
export const LAB_REGISTRY_CONF = `[[registry]]\nlocation="${REGISTRY}"\ninsecure=true\n`;

export function authJson(user: string, password: string): string {
  const auth = Buffer.from(`${user}:${password}`).toString("base64");
  return `${JSON.stringify({ auths: { [REGISTRY]: { auth } } }, undefined, 2)}\n`;
}

export function inventory(port: number, keyFile: string): string {
  const ssh = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
  return `debian-bootc ansible_host=127.0.0.1 ansible_port=${port} ansible_user=ansible-user ansible_ssh_private_key_file=${keyFile} ansible_ssh_common_args='${ssh}' ansible_python_interpreter=/usr/bin/python3\n`;
}
