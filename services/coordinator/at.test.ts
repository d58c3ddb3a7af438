import { test } from "vitest";

import { ManualClock, settled } from "../../runtime/testing/clock.ts";
import { atContract } from "../../runtime/transactions/at/at.contract.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { MemoryDisk } from "../../runtime/transactions/testing.ts";
import { coordinatorInProcess } from "./testing.ts";

for (const [fact, holds] of Object.entries(atContract)) {
  test(fact, async () => {
    const clock = new ManualClock();
    const dataSource = await openRowStore(new MemoryDisk());
    const { open, stop } = await coordinatorInProcess({ clock, disk: new MemoryDisk() });
    await holds({
      ...{ clock, tenant: "t", resourceId: "rows://bank", retryWithinMs: 1_500 },
      open: () => Promise.resolve({ coordinator: open(), dataSource }),
      ended: async (work) => {
        let isOver = false;
        const over = (): void => void (isOver = true);
        work.then(over, over);
        await settled();
        for (let ms = 0; !isOver && ms < 60_000; ms++) await clock.advance(1_000);
        return work;
      },
    });
    await stop();
  });
}
