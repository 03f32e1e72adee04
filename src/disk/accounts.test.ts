import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { type AccountFiles, addAccount } from "./accounts.ts";

const files: AccountFiles = {
  passwd: "root:x:0:0:root:/root:/bin/bash\nbuild:x:1000:1000::/home/build:/bin/sh\n",
  group: "root:x:0:\nsudo:x:27:\nadm:x:4:syslog\nbuild:x:1000:\nlate:x:1001:\n",
  shadow: "root:*:19000:0:99999:7:::\n",
  gshadow: "root:*::\nsudo:*::\nadm:*::syslog\n",
};
const ann = { name: "ann", groups: ["sudo", "adm"], home: "/home/ann", shell: "/bin/bash" };

test("addAccount() adds to all four files with the first id that neither a user nor a group has", () => {
  const { files: after, id } = addAccount(files, ann);
  assert.equal(id, 1002);
  assert.equal(after.passwd, `${files.passwd}ann:x:1002:1002::/home/ann:/bin/bash\n`);
  assert.equal(after.shadow, `${files.shadow}ann:*::0:99999:7:::\n`);
  assert.equal(after.group, "root:x:0:\nsudo:x:27:ann\nadm:x:4:syslog,ann\nbuild:x:1000:\nlate:x:1001:\nann:x:1002:\n");
  assert.equal(after.gshadow, "root:*::\nsudo:*::ann\nadm:*::syslog,ann\nann:!::\n");
});

test("addAccount() copes with a missing gshadow and a missing last newline", () => {
  const { files: after } = addAccount(
    { ...files, passwd: files.passwd.trimEnd(), gshadow: undefined },
    { ...ann, groups: [] },
  );
  assert.equal(after.passwd, `${files.passwd}ann:x:1002:1002::/home/ann:/bin/bash\n`);
  assert.equal(after.gshadow, undefined);
});

test("addAccount() rejects names that are taken and groups that are not there", () => {
  assert.throws(
    () => addAccount(files, { ...ann, name: "build" }),
    (error) => isFailure(error, "conflict"),
  );
  assert.throws(
    () => addAccount(files, { ...ann, name: "late" }),
    (error) => isFailure(error, "conflict"),
  );
  assert.throws(
    () => addAccount(files, { ...ann, groups: ["wheel"] }),
    (error) => isFailure(error, "not-found"),
  );
  const full = Array.from({ length: 59000 }, (_, i) => `u${i}:x:${1000 + i}:1::/:/bin/sh\n`).join("");
  assert.throws(() => addAccount({ ...files, passwd: full }, ann), /no user id/);
});
