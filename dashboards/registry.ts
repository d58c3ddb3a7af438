import { dashboard, fleet } from "./parts.ts";

/** Whether nodes see the registry, and each other through it. */
export const registry = dashboard({
  name: "registry",
  title: "Flyball: registry health",
  description: "Sessions with the registry, the instances that each caller knows, and the nodes themselves.",
  panels: [
    {
      title: "Nodes by state of their session",
      description: "Suspended or expired: fail static keeps calls going, but nobody hears of changes.",
      isState: true,
      queries: [['sum by (state) (flyball_registry_state{run=~"$run"})', "{{state}}"]],
    },
    {
      title: "Instances that each caller knows",
      description: "Lines that part: callers that see different fleets.",
      isState: true,
      queries: [[`flyball_directory_instances{${fleet}}`, "{{instance}} knows of {{peer_service}}"]],
    },
    {
      title: "Where the lists come from",
      description:
        "Callers by source. Protected: an empty push isn't believed. Cache: from the disk, the registry being away.",
      isState: true,
      queries: [[`sum by (peer_service, source) (flyball_directory_state{${fleet}})`, "{{peer_service}} {{source}}"]],
    },
    {
      title: "Instances that left",
      description: "In the last half minute, as callers heard it: they said goodbye, or their sessions ran out.",
      queries: [
        [
          `sum by (peer_service, reason) (increase(flyball_directory_removals_total{${fleet}}[30s]))`,
          "{{peer_service}} {{reason}}",
        ],
      ],
    },
    {
      title: "Changes of sessions",
      description: "In the last half minute. Many at once: a reconnect storm.",
      queries: [['sum by (state) (increase(flyball_registry_state_changes_total{run=~"$run"}[30s]))', "{{state}}"]],
    },
    {
      title: "The registry's own load",
      description:
        "Calls a second that the embedded registry and config centre serve; where Prometheus scrapes a ZooKeeper, its packets.",
      unit: "reqps",
      queries: [
        [
          'sum by (service, rpc_method) (service_method:rpc_server_calls:rate30s{run=~"$run",service=~"registry|config-center"}) or sum by (service) (rate(packets_received{run=~"$run"}[30s]))',
          "{{service}} {{rpc_method}}",
        ],
      ],
    },
    {
      title: "Nodes by phase",
      description: "Nodes that can be scraped, by the phase of their lives; what is missing is dead or cut off.",
      isState: true,
      isStacked: true,
      queries: [['sum by (phase) (flyball_node_phase{run=~"$run"})', "{{phase}}"]],
    },
    {
      title: "Scheduling lag",
      description: "How late timers fired. Above a quarter of what you measure, the machine is the finding.",
      unit: "s",
      queries: [['flyball_scheduling_lag_seconds{run=~"$run"}', "{{instance}}"]],
    },
  ],
});
