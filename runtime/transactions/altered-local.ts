import type { LocalTransaction } from "../ports/data-source.ts";

/** The same local transaction, some of whose statements do something else, or something more. */
export function alteredLocal(local: LocalTransaction, altered: Partial<LocalTransaction>): LocalTransaction {
  return {
    lock: (table, key) => local.lock(table, key),
    lockEach: (table, part) => local.lockEach(table, part),
    read: (table, key) => local.read(table, key),
    insert: (table, row) => local.insert(table, row),
    update: (table, row) => local.update(table, row),
    remove: (table, key) => local.remove(table, key),
    removeEach: (table, keys) => local.removeEach(table, keys),
    savepoint: (work) => local.savepoint(work),
    ...(local.dependents && { dependents: (table, keys) => local.dependents!(table, keys) }),
    ...altered,
  };
}
