/** The parts of the story on the machine: disk, boot, local state, reboots. */
import { openVm } from "../../vm/machine.ts";
import { type CommandOptions, retry, type Stage } from "./stage.ts";
import { authJson, inventory, LAB_REGISTRY_CONF, PASSWORD, REGISTRY, USER } from "./texts.ts";

const NAME = "debian-bootc";
/** Only for a machine that hangs: an emulated one beside others takes minutes. */
const BOOT_SECONDS = 900;
/** Leads to the machine's web server. */
const WEB_PORT = 8081;
const LAST_WORDS_LINES = 40;

export interface Machine extends AsyncDisposable {
  readonly sshPort: number;
  /** Runs a shell command as root, shown as on the machine's own console. */
  run(script: string, options?: CommandOptions): Promise<string>;
  quietly(script: string, options?: CommandOptions): Promise<string>;
  /** Writes a file as root. */
  put(path: string, content: string): Promise<void>;
  powerOff(): Promise<void>;
}

export async function makeDisk(stage: Stage, image: string): Promise<void> {
  const { files } = stage.host;
  files.remove(`${stage.folder}/key`);
  files.remove(`${stage.folder}/key.pub`);
  await stage.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"]);
  files.remove(`${stage.folder}/out`);
  await stage.run([
    ...["berth", "disk", image, "--type", "raw", "-o", "out", "--size", "10G", "--source", image],
    ...["--root-ssh-authorized-keys", "key.pub", "--user", "ansible-user:sudo:key.pub"],
    ...["--karg", "console=ttyS0", "--karg", "net.ifnames=0", "--karg", "mitigations=off"],
  ]);
  files.remove(`${stage.folder}/second.raw`);
  await stage.run(["truncate", "-s", "2G", "second.raw"]);
}

export async function bootMachine(stage: Stage, firmware: "uefi" | "bios"): Promise<Machine> {
  await stage.cleanUp(["berth", "vm", "stop", NAME, "--force"]);
  await stage.run([
    "berth",
    "vm",
    "run",
    "-d",
    "--name",
    NAME,
    `--${firmware}`,
    "--memory",
    "2048",
    "--port",
    `${WEB_PORT}:80`,
    "--disk",
    "out/disk.raw",
    "--disk",
    "second.raw",
  ]);
  const ssh = (script: string): string[] => ["berth", "vm", "ssh", NAME, "--user", "root", "-i", "key", "--", script];
  const machine: Machine = {
    sshPort: await sshPort(stage),
    run: (script, options = {}) => stage.run(ssh(script), { ...options, prompt: `[root@${NAME} ~]# `, shown: script }),
    quietly: (script, options = {}) => stage.quietly(ssh(script), options),
    async put(path, content) {
      const folder = path.slice(0, path.lastIndexOf("/"));
      const encoded = Buffer.from(content).toString("base64");
      await stage.quietly(ssh(`mkdir -p ${folder} && echo ${encoded} | base64 -d > ${path}`));
    },
    async powerOff() {
      await stage.run(["berth", "vm", "stop", NAME]);
    },
    async [Symbol.asyncDispose]() {
      await stage.cleanUp(["berth", "vm", "stop", NAME, "--force"]);
    },
  };
  await stage.run(["berth", "vm", "wait", NAME, "--for", "ssh", "-i", "key", "--timeout", String(BOOT_SECONDS)]);
  // Inside the machine the registry's name is the virtual network's gateway, which is this host.
  await machine.run(`echo "10.0.2.2 ${REGISTRY.replace(/:\d+$/, "")}" >> /etc/hosts`);
  return machine;
}

export async function inspectMachine(stage: Stage, machine: Machine): Promise<void> {
  await machine.run("findmnt -no SOURCE,FSTYPE,OPTIONS /", {
    expect: [/^composefs:[0-9a-f]{128}\s+overlay\s+ro,/m, /verity=require/],
  });
  await machine.run("touch /usr/test; true", { expect: /Read-only file system/ });
  await machine.run("touch /etc/test /var/test && rm /etc/test /var/test && echo writable", { expect: /^writable$/m });
  await machine.run("ls -ld /root /home /srv /mnt /opt /usr/local", {
    expect: [
      /\/home -> var\/home/,
      /\/root -> var\/roothome/,
      /\/srv -> var\/srv/,
      /\/mnt -> var\/mnt/,
      /\/opt -> var\/opt/,
      /\/usr\/local -> \.\.\/var\/usrlocal/,
    ],
  });
  await retry(stage, 30, () => machine.quietly("systemctl is-active nginx ssh nftables"));
  await machine.run("systemctl is-active nginx ssh nftables", { expect: /^active\nactive\nactive$/m });
  await visitPage(stage);
  await machine.run("lsblk -o NAME,SIZE,TYPE,MOUNTPOINTS");
}

export async function customize(stage: Stage, machine: Machine): Promise<void> {
  await machine.run("hostnamectl set-hostname debian-bootc-01");
  await machine.run(
    "sed -i 's/type filter hook input priority filter;/& tcp dport 8443 drop;/' /etc/nftables.conf && systemctl restart nftables && nft list ruleset",
    {
      expect: /tcp dport 8443 drop/,
    },
  );
  await machine.run(
    "parted -s /dev/vdb mklabel gpt mkpart backup ext4 0% 100% && udevadm settle && mkfs.ext4 -q /dev/vdb1",
  );
  // Without the long timeout an emulated machine that finds its disk after 90 s ends in emergency mode.
  await machine.run(
    "mkdir /var/backup && echo '/dev/vdb1 /var/backup ext4 defaults,x-systemd.device-timeout=15min 0 0' >> /etc/fstab && systemctl daemon-reload && mount /var/backup",
  );
  await machine.run("touch /var/backup/just_some_file && findmnt -no SOURCE /var/backup", { expect: /^\/dev\/vdb1$/m });
  await stillCustomized(stage, machine);
}

/** What was changed on the machine is still there, whatever was booted since. */
export async function stillCustomized(stage: Stage, machine: Machine): Promise<void> {
  const found = await machine.run(
    "hostname; nft list ruleset | grep -o 'tcp dport 8443 drop'; ls /var/backup; findmnt -no SOURCE /var/backup",
  );
  for (const wanted of ["debian-bootc-01", "tcp dport 8443 drop", "just_some_file", "/dev/vdb1"]) {
    stage.check(`local state is kept (${wanted})`, found.includes(wanted));
  }
}

export async function copyWithAnsible(stage: Stage, machine: Machine): Promise<void> {
  const { files } = stage.host;
  files.write(`${stage.folder}/inventory`, inventory(machine.sshPort, `${stage.folder}/key`));
  files.write(`${stage.folder}/001-labregistry.conf`, LAB_REGISTRY_CONF);
  files.write(`${stage.folder}/auth.json`, authJson(USER, PASSWORD));
  const copy = (from: string, to: string): Promise<string> =>
    stage.run(["ansible", NAME, "-i", "inventory", "-b", "-m", "copy", "-a", `src=${from} dest=${to}`], {
      expect: new RegExp(`${NAME} \\| CHANGED`),
      env: { ANSIBLE_HOST_KEY_CHECKING: "False", ANSIBLE_NOCOLOR: "1" },
    });
  await machine.quietly("mkdir -p /etc/containers/registries.conf.d /etc/ostree");
  await copy("001-labregistry.conf", "/etc/containers/registries.conf.d/");
  await copy("auth.json", "/etc/ostree/");
}

/** The machine's web page, seen from outside. */
export async function visitPage(stage: Stage): Promise<void> {
  const page = ["curl", "-sSf", "--max-time", "20", `http://127.0.0.1:${WEB_PORT}`];
  await retry(stage, 30, () => stage.quietly(page));
  await stage.run(page, { expect: /Debian image mode system/ });
}

/** Reboots and waits for the new boot, not for the last breath of the old one. */
export async function reboot(stage: Stage, machine: Machine): Promise<void> {
  const bootId = "cat /proc/sys/kernel/random/boot_id";
  const before = await machine.quietly(bootId);
  // 255 is ssh's: the machine may go down before it could say that all is well.
  await machine.run("systemctl reboot", { exitCodes: [0, 255] });
  const startedMs = stage.host.clock.elapsed();
  for (;;) {
    await stage.host.clock.sleep(3000, stage.signal);
    const now = await machine.quietly(bootId).catch(() => before);
    if (now !== before) return;
    const isBackInTime = stage.host.clock.elapsed() - startedMs < BOOT_SECONDS * 1000;
    if (!isBackInTime) stage.say(`The machine's console ends with:\n${await lastWords(stage)}`);
    stage.check(`the machine is back within ${BOOT_SECONDS} s`, isBackInTime);
  }
}

async function lastWords(stage: Stage): Promise<string> {
  const vm = openVm(stage.host, NAME, stage.signal);
  const lines = vm.console().trimEnd().split("\n").slice(-LAST_WORDS_LINES);
  return [...lines, `QEMU says: ${await vm.condition()}`].join("\n");
}

async function sshPort(stage: Stage): Promise<number> {
  const listed: unknown = JSON.parse(await stage.quietly(["berth", "vm", "list", "--json"]));
  const found = Array.isArray(listed)
    ? listed.find((vm: unknown) => typeof vm === "object" && vm !== null && Reflect.get(vm, "name") === NAME)
    : undefined;
  const port: unknown = typeof found === "object" && found !== null ? Reflect.get(found, "sshPort") : undefined;
  stage.check("the machine has an ssh port", typeof port === "number");
  return Number(port);
}
