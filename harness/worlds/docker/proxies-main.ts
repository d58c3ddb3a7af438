import { systemClock } from "../../../runtime/node/clock.ts";
import { stdioChannel } from "../../../runtime/node/channel.ts";
import { createRandom } from "../../../runtime/random.ts";
import { PairProxy } from "../live/proxy.ts";
import type { FromProxies, ToProxies } from "./proxies.ts";

// The program of the container that leads a fleet's touched links. It does what it is told over its standard input, and ends with it.

const clock = systemClock();
const proxies = new Map<string, PairProxy>();
const channel = stdioChannel<ToProxies, FromProxies>();

async function obey(message: ToProxies): Promise<string | undefined> {
  if (message.type === "open") {
    const { link, seed, listen, destination } = message;
    const proxy = new PairProxy({ clock, random: createRandom(seed) }, { name: link, listen, destination });
    proxies.set(link, proxy);
    await proxy.open();
    return proxy.address;
  }
  const proxy = proxies.get(message.link);
  if (proxy === undefined) throw new Error(`there is no link ${message.link}`);
  switch (message.type) {
    case "shape":
      await proxy.shape(message.shape);
      break;
    case "reset":
      await proxy.reset();
      break;
    case "alive":
      await proxy.setDestinationAlive(message.isAlive);
      break;
    case "close":
      proxies.delete(message.link);
      await proxy.close();
      break;
  }
  return undefined;
}

channel.onMessage((message) => {
  obey(message).then(
    (address) => channel.send({ type: "done", id: message.id, address }),
    (error: unknown) =>
      channel.send({ type: "refused", id: message.id, reason: error instanceof Error ? error.message : String(error) }),
  );
});
