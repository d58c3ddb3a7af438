import { dashboard, fleet } from "./parts.ts";

/** What retries cost, what breakers, ejections and limits do, and what is turned away. */
export const protection = dashboard({
  name: "protection",
  title: "Flyball: protection",
  description:
    "Whether retries help or add to the load, what breakers, ejections and limits do, and what deadlines and full queues turn away.",
  panels: [
    {
      title: "Attempts for each call",
      description: "1 without retries. While something is broken it shows by how much retries multiply the load.",
      queries: [['peer_service:rpc_client_attempts_per_call:ratio_rate30s{run=~"$run"}', "{{peer_service}}"]],
    },
    {
      title: "What retries save",
      description: "Failed attempts against failed calls, a second. Both lines as high: retries save nothing.",
      unit: "reqps",
      queries: [
        [
          `sum by (peer_service) (rate(rpc_client_attempt_duration_seconds_count{${fleet},error_type!=""}[30s]))`,
          "attempts at {{peer_service}}",
        ],
        [
          `sum by (peer_service) (rate(rpc_client_call_duration_seconds_count{${fleet},error_type!=""}[30s]))`,
          "calls of {{peer_service}}",
        ],
      ],
    },
    {
      title: "Calls over their deadline",
      description: "Logical calls a second that ended DEADLINE_EXCEEDED.",
      unit: "reqps",
      queries: [
        [
          `sum by (peer_service) (rate(rpc_client_call_duration_seconds_count{${fleet},rpc_status_code="DEADLINE_EXCEEDED"}[30s]))`,
          "{{peer_service}}",
        ],
      ],
    },
    {
      title: "Breakers that aren't closed",
      description:
        "1 while a caller's circuit breaker is open or half-open: its calls fail at once, and nothing is sent.",
      isState: true,
      queries: [
        [
          'max by (instance, peer_service, peer_instance, state) (flyball_breaker_state{run=~"$run",state!="closed"})',
          "{{instance}} → {{peer_service}} {{peer_instance}} {{state}}",
        ],
      ],
    },
    {
      title: "Instances that are ejected",
      description: "How many callers keep an instance out of their choice, because it fails more than its siblings.",
      isState: true,
      queries: [['sum by (peer_instance) (flyball_instance_ejected{run=~"$run"})', "{{peer_instance}}"]],
    },
    {
      title: "Concurrency limits",
      description: "Calls that may be in flight at a time; a limit that falls has found a queue behind it.",
      isState: true,
      queries: [['flyball_concurrency_limit{run=~"$run"}', "{{instance}} for {{peer_service}}"]],
    },
    {
      title: "Calls that a policy turned away",
      description: "A second, by policy: by the caller's own breaker or limits, or by those of the server.",
      unit: "reqps",
      queries: [
        [
          'sum by (policy, peer_service) (rate(flyball_rejections_total{run=~"$run"}[30s]))',
          "{{policy}} of {{peer_service}}",
        ],
      ],
    },
    {
      title: "Changes of policies",
      description:
        "How often in 30 s a policy came into a state. A breaker that opens again and again asks for a longer pause.",
      queries: [
        [
          'sum by (policy, peer_service, state) (increase(flyball_policy_changes_total{run=~"$run"}[30s]))',
          "{{policy}} of {{peer_service}} {{state}}",
        ],
      ],
    },
    {
      title: "Calls that full queues refused",
      description: "Served calls a second that ended RESOURCE_EXHAUSTED.",
      unit: "reqps",
      queries: [
        [
          'sum by (instance) (rate(rpc_server_call_duration_seconds_count{run=~"$run",rpc_status_code="RESOURCE_EXHAUSTED"}[30s]))',
          "{{instance}}",
        ],
      ],
    },
    {
      title: "Calls in an instance",
      description: "At work or waiting. A line that stays high is a queue that doesn't empty.",
      queries: [
        ['flyball_server_calls_in_flight{run=~"$run",service!~"registry|config-center|coordinator"}', "{{instance}}"],
      ],
    },
    {
      title: "Budget that burns",
      description:
        "The share of failed calls over the short and the long window of the fast alert; it pages where both are above 14.4 %.",
      unit: "percentunit",
      queries: [
        ['peer_service:rpc_client_errors:ratio_rate5s{run=~"$run"}', "{{peer_service}} 5 s"],
        ['peer_service:rpc_client_errors:ratio_rate1m{run=~"$run"}', "{{peer_service}} 1 min"],
      ],
    },
  ],
});
