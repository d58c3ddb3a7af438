import { dashboard, fleet } from "./parts.ts";

/** Rate, errors and duration of each service: as its callers see it, and as it sees itself. */
export const red = dashboard({
  name: "red",
  title: "Flyball: rate, errors, duration",
  description: "What each service was asked, how often that failed, and how long it took.",
  panels: [
    {
      title: "Calls, as their callers made them",
      description: "Logical calls a second: what users asked for, retries not counted.",
      unit: "reqps",
      queries: [['peer_service:rpc_client_calls:rate30s{run=~"$run"}', "{{peer_service}}"]],
    },
    {
      title: "Calls, as they were served",
      description: "Attempts that arrived. More than the callers' calls: retries.",
      unit: "reqps",
      queries: [
        [
          'sum by (service) (service_method:rpc_server_calls:rate30s{run=~"$run",service!~"registry|config-center|coordinator"})',
          "{{service}}",
        ],
      ],
    },
    {
      title: "Calls that failed, as their callers saw it",
      description: "The share of logical calls that ended other than OK after every retry.",
      unit: "percentunit",
      queries: [['peer_service:rpc_client_errors:ratio_rate30s{run=~"$run"}', "{{peer_service}}"]],
    },
    {
      title: "Calls that failed, as servers saw it",
      description:
        "The share that is the server's fault by OpenTelemetry's rule. Callers may see less: retries hide failures.",
      unit: "percentunit",
      queries: [['service:rpc_server_errors:ratio_rate30s{run=~"$run"}', "{{service}}"]],
    },
    {
      title: "How calls end",
      description: "Logical calls a second by their gRPC status.",
      unit: "reqps",
      isStacked: true,
      queries: [
        [
          `sum by (peer_service, rpc_status_code) (rate(rpc_client_call_duration_seconds_count{${fleet}}[30s]))`,
          "{{peer_service}} {{rpc_status_code}}",
        ],
      ],
    },
    {
      title: "Duration, as callers saw it",
      description:
        "Median and 99th percentile of logical calls, retries and waiting included. A dot is a call whose trace was recorded.",
      unit: "s",
      queries: [
        ['peer_service:rpc_client_call_duration_seconds:p50_30s{run=~"$run"}', "{{peer_service}} p50"],
        // Not the recorded series: exemplars belong to the buckets.
        [
          `histogram_quantile(0.99, sum by (peer_service, le) (rate(rpc_client_call_duration_seconds_bucket{${fleet}}[30s])))`,
          "{{peer_service}} p99",
        ],
      ],
    },
    {
      title: "Duration, as servers saw it",
      description:
        "99th percentile of served calls. Callers see much more: time in the network, in queues before it, or in retries.",
      unit: "s",
      queries: [['service:rpc_server_call_duration_seconds:p99_30s{run=~"$run"}', "{{service}} p99"]],
    },
    {
      title: "Calls under way",
      description: "Begun and not ended. It grows when calls come faster than they end.",
      queries: [
        [`sum by (peer_service) (flyball_client_calls_in_flight{${fleet}})`, "calls of {{peer_service}}"],
        [
          'sum by (service) (flyball_server_calls_in_flight{run=~"$run",service!~"registry|config-center|coordinator"})',
          "served by {{service}}",
        ],
      ],
    },
  ],
});
