import { dashboard, fleet } from "./parts.ts";

/** Whether rules reached everybody, and whether traffic follows them. */
export const routing = dashboard({
  name: "routing",
  title: "Flyball: routing and canary",
  description: "Which share of the traffic each tag gets, and which version of which rule each node follows.",
  panels: [
    {
      title: "Share of the attempts by tag",
      description: "A canary's share, as it really is. An instance without a tag is in the nameless series.",
      unit: "percentunit",
      max: 1,
      queries: [['peer_service_tag:rpc_client_attempts:share_rate30s{run=~"$run"}', "{{peer_service}} {{tag}}"]],
    },
    {
      title: "Attempts by tag",
      description: "Attempts a second.",
      unit: "reqps",
      isStacked: true,
      queries: [
        [
          'sum by (peer_service, tag) (peer_instance:rpc_client_attempts:rate30s{run=~"$run"})',
          "{{peer_service}} {{tag}}",
        ],
      ],
    },
    {
      title: "Version of the rules",
      description: "Lines that part: a node that hasn't heard, and routes by other rules than its siblings.",
      isState: true,
      queries: [['flyball_rule_version{run=~"$run"}', "{{instance}} {{rule_key}}"]],
    },
    {
      title: "Nodes by what became of the last version",
      description: "Rejected: the node can't read the document and keeps the last good one.",
      isState: true,
      queries: [['sum by (rule_key, outcome) (flyball_rule_state{run=~"$run"})', "{{rule_key}} {{outcome}}"]],
    },
    {
      title: "Changes of rules",
      description: "Versions that nodes heard of in the last half minute.",
      queries: [
        [
          'sum by (rule_key, outcome) (increase(flyball_rule_changes_total{run=~"$run"}[30s]))',
          "{{rule_key}} {{outcome}}",
        ],
      ],
    },
    {
      title: "Calls without an instance",
      description: "Logical calls a second that ended without an attempt: rules, or a registry, left nobody to call.",
      unit: "reqps",
      queries: [
        [
          `sum by (peer_service) (rate(flyball_client_calls_without_instance_total{${fleet}}[30s]))`,
          "{{peer_service}}",
        ],
      ],
    },
  ],
});
