import { dashboard } from "./parts.ts";

const run = 'run=~"$run"';
const ofSeata = `${run},role="tc"`;

/** How distributed transactions end, what they wait for, and what the coordinator says. */
export const transactions = dashboard({
  name: "transactions",
  title: "Flyball: transactions",
  description:
    "Distributed transactions as their managers and resource managers count them, and as a Seata server does where one coordinates.",
  panels: [
    {
      title: "Transactions",
      description: "Global transactions a second by how they ended. Retrying is decided, and not yet done everywhere.",
      unit: "ops",
      isStacked: true,
      queries: [[`sum by (outcome) (rate(flyball_transaction_duration_seconds_count{${run}}[30s]))`, "{{outcome}}"]],
    },
    {
      title: "Duration",
      description:
        "From begin to the answer: half of the transactions are faster than p50, one in a hundred slower than p99.",
      unit: "s",
      queries: [
        [
          `histogram_quantile(0.5, sum by (le) (rate(flyball_transaction_duration_seconds_bucket{${run}}[30s])))`,
          "p50",
        ],
        [
          `histogram_quantile(0.99, sum by (le) (rate(flyball_transaction_duration_seconds_bucket{${run}}[30s])))`,
          "p99",
        ],
      ],
    },
    {
      title: "In flight",
      description:
        "Begun and not ended, by who began them. A line that climbs is a coordinator or a branch that hangs.",
      queries: [[`sum by (instance) (flyball_transactions_in_flight{${run}})`, "{{instance}}"]],
    },
    {
      title: "Branches",
      description: "Steps of branches a second: every one that is registered is confirmed or cancelled in the end.",
      unit: "ops",
      queries: [
        [
          `sum by (resource, outcome) (rate(flyball_branches_total{${run},outcome!~".*_Retryable"}[30s]))`,
          "{{resource}} {{outcome}}",
        ],
      ],
    },
    {
      title: "Lock conflicts",
      description: "Branches a second that found a row in another transaction's hands. Hot rows show here first.",
      unit: "ops",
      queries: [[`sum by (resource) (rate(flyball_lock_conflicts_total{${run}}[30s]))`, "{{resource}}"]],
    },
    {
      title: "Retries",
      description: "Commits and rollbacks that were asked for again, and branches that have to be finished again.",
      unit: "ops",
      queries: [
        [`sum by (decision) (rate(flyball_transaction_retries_total{${run}}[30s]))`, "{{decision}} asked again"],
        [
          `sum by (resource, outcome) (rate(flyball_branches_total{${run},outcome=~".*_Retryable"}[30s]))`,
          "{{resource}} {{outcome}}",
        ],
      ],
    },
    {
      title: "Seata: transactions",
      description: "What the server has counted a second, by status: it should agree with the first panel.",
      unit: "ops",
      queries: [
        [
          `sum by (status) (rate(seata_transaction{${ofSeata},meter="counter",status=~"committed|rollbacked"}[30s]))`,
          "{{status}}",
        ],
      ],
    },
    {
      title: "Seata: open transactions",
      description: "Begun and not ended, as the server has them: those that time out or wait for a branch stay.",
      queries: [[`sum(seata_transaction{${ofSeata},meter="counter",status="active"})`, "active"]],
    },
  ],
});
