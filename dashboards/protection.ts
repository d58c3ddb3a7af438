import { dashboard, fleet } from "./parts.ts";

/** What retries cost, and what is turned away. Breakers and limiters will have panels here once nodes report them. */
export const protection = dashboard({
  name: "protection",
  title: "Flyball: protection",
  description: "Whether retries help or add to the load, and what deadlines and full queues turn away.",
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
