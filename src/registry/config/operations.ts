/** [metrics], [shutdown] and [[webhooks]]: running the registry. */
import { list, duration, choice, maybe, parsed, table, text, withDefault } from "./fields.ts";
import { repositoryGlob } from "./globs.ts";
import { listenField } from "./listen.ts";

export const metricsSection = maybe(
  table("Prometheus metrics at /metrics", {
    listen: maybe(listenField("An address of its own, plain HTTP and for everybody who reaches it")),
    users: withDefault(list("Without one: who may read them on the registry's own address", text("User")), []),
  }),
);

export const shutdownSection = withDefault(
  table("How the registry stops", {
    drain: withDefault(duration("Go on for so long while /readyz says no, so that balancers turn away"), "0s"),
    grace: withDefault(duration("How long running requests may then take to end"), "30s"),
  }),
  {},
);

export const webhooksSection = withDefault(
  list(
    "Where pushes and deletions are told",
    table("One receiver", {
      url: parsed("http or https URL", "^https?://", (url) => {
        if (!URL.canParse(url) || !/^https?:/.test(url)) throw new SyntaxError("it is no http or https URL");
        return url;
      }),
      secret: maybe(text("File with the secret that signs what is sent")),
      events: withDefault(list("Which events", choice("Event", ["push", "delete"])), ["push", "delete"]),
      repositories: withDefault(list("Globs of repositories", repositoryGlob("Glob")), ["**"]),
    }),
  ),
  [],
);
