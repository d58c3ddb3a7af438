import { dashboard, fleet } from "./parts.ts";

/** Whether each instance gets the share that its weight wants. */
export const balancing = dashboard({
  name: "balancing",
  title: "Flyball: balancing",
  description:
    "Where attempts go, against the weights: within a tag, because routers choose the tag and balancers the instance.",
  panels: [
    {
      title: "Share of the attempts",
      description: "Each instance's part of the attempts within its tag. Compare it with the panel beside.",
      unit: "percentunit",
      max: 1,
      queries: [['peer_instance:rpc_client_attempts:share_rate30s{run=~"$run"}', "{{peer_instance}} {{tag}}"]],
    },
    {
      title: "Share of the weights",
      description: "The part that its weight wants for it, after overrides.",
      unit: "percentunit",
      max: 1,
      queries: [['peer_instance:flyball_instance_weight:share{run=~"$run"}', "{{peer_instance}} {{tag}}"]],
    },
    {
      title: "Share divided by weight's share",
      description:
        "1 is fair. Round-robin keeps to it closely, random choice roughly; least-active and P2C leave it for slow instances.",
      queries: [
        [
          'peer_instance:rpc_client_attempts:share_rate30s{run=~"$run"} / peer_instance:flyball_instance_weight:share{run=~"$run"}',
          "{{peer_instance}} {{tag}}",
        ],
      ],
    },
    {
      title: "Attempts",
      description: "Attempts a second at each instance, retries included.",
      unit: "reqps",
      queries: [['peer_instance:rpc_client_attempts:rate30s{run=~"$run"}', "{{peer_instance}}"]],
    },
    {
      title: "Duration of attempts",
      description: "99th percentile by instance: one that stands out is slow, or far.",
      unit: "s",
      queries: [
        [
          `histogram_quantile(0.99, sum by (peer_instance, le) (rate(rpc_client_attempt_duration_seconds_bucket{${fleet}}[30s])))`,
          "{{peer_instance}}",
        ],
      ],
    },
    {
      title: "Attempts that failed",
      description: "The share by instance: one that stands out is broken.",
      unit: "percentunit",
      queries: [
        [
          `sum by (peer_instance) (rate(rpc_client_attempt_duration_seconds_count{${fleet},error_type!=""}[30s])) / sum by (peer_instance) (rate(rpc_client_attempt_duration_seconds_count{${fleet}}[30s]))`,
          "{{peer_instance}}",
        ],
      ],
    },
  ],
});
