/**
 * Every metric that a node exports, in the order of docs/metrics.md. RPC metrics are named as OpenTelemetry's RPC conventions
 * say, in Prometheus's spelling (dots become underscores, the unit is a suffix); what OpenTelemetry doesn't know begins with
 * `flyball_`. Dashboards, alerts and the page take the names from here, and tests hold them to it.
 */
export const catalogue = {
  clientCall: {
    name: "rpc_client_call_duration_seconds",
    type: "histogram",
    labels: ["rpc_method", "rpc_status_code", "error_type", "peer_service"],
    help: "Logical calls that ended, with all their attempts, by how they ended.",
  },
  clientAttempt: {
    name: "rpc_client_attempt_duration_seconds",
    type: "histogram",
    labels: ["rpc_method", "rpc_status_code", "error_type", "peer_service", "peer_instance"],
    help: "Attempts of calls that ended, by instance; one that its call didn't wait for is CANCELLED.",
  },
  serverCall: {
    name: "rpc_server_call_duration_seconds",
    type: "histogram",
    labels: ["rpc_method", "rpc_status_code", "error_type"],
    help: "Calls that this node served, by how they ended.",
  },
  clientInFlight: {
    name: "flyball_client_calls_in_flight",
    type: "gauge",
    labels: ["peer_service"],
    help: "Logical calls that have begun and not ended.",
  },
  serverInFlight: {
    name: "flyball_server_calls_in_flight",
    type: "gauge",
    labels: [],
    help: "Calls that this node is serving: at work or waiting.",
  },
  withoutInstance: {
    name: "flyball_client_calls_without_instance_total",
    type: "counter",
    labels: ["peer_service"],
    help: "Logical calls that ended without an attempt: there was no instance to pick.",
  },
  instanceWeight: {
    name: "flyball_instance_weight",
    type: "gauge",
    labels: ["peer_service", "peer_instance", "tag"],
    help: "Weight of an instance as this node's balancer sees it, after overrides.",
  },
  directoryInstances: {
    name: "flyball_directory_instances",
    type: "gauge",
    labels: ["peer_service"],
    help: "Instances that this node can call.",
  },
  directoryVersion: {
    name: "flyball_directory_version",
    type: "gauge",
    labels: ["peer_service"],
    help: "The registry's version of this node's directory.",
  },
  directoryState: {
    name: "flyball_directory_state",
    type: "gauge",
    labels: ["peer_service", "source"],
    help: "1 at where the directory's list comes from now, else 0.",
  },
  directoryRemovals: {
    name: "flyball_directory_removals_total",
    type: "counter",
    labels: ["peer_service", "reason"],
    help: "Instances that left the directory, by why.",
  },
  registryState: {
    name: "flyball_registry_state",
    type: "gauge",
    labels: ["state"],
    help: "1 at the state of this node's session with the registry, else 0.",
  },
  registryChanges: {
    name: "flyball_registry_state_changes_total",
    type: "counter",
    labels: ["state"],
    help: "Times that the session with the registry came into a state.",
  },
  ruleVersion: {
    name: "flyball_rule_version",
    type: "gauge",
    labels: ["rule_key"],
    help: "The version of a rule document that this node heard of last.",
  },
  ruleState: {
    name: "flyball_rule_state",
    type: "gauge",
    labels: ["rule_key", "outcome"],
    help: "1 at what became of a rule document's last version, else 0.",
  },
  ruleChanges: {
    name: "flyball_rule_changes_total",
    type: "counter",
    labels: ["rule_key", "outcome"],
    help: "Versions of a rule document, by what became of them.",
  },
  breakerState: {
    name: "flyball_breaker_state",
    type: "gauge",
    labels: ["peer_service", "peer_instance", "state"],
    help: "1 at the state that a circuit breaker is in, else 0; known from its first change on.",
  },
  instanceEjected: {
    name: "flyball_instance_ejected",
    type: "gauge",
    labels: ["peer_service", "peer_instance"],
    help: "1 while outlier detection keeps the instance out of this node's choice; known from its first ejection on.",
  },
  concurrencyLimit: {
    name: "flyball_concurrency_limit",
    type: "gauge",
    labels: ["peer_service"],
    help: "Calls that may be in flight at a time.",
  },
  policyChanges: {
    name: "flyball_policy_changes_total",
    type: "counter",
    labels: ["policy", "peer_service", "state"],
    help: "Times that a policy came into a state.",
  },
  rejections: {
    name: "flyball_rejections_total",
    type: "counter",
    labels: ["peer_service", "policy"],
    help: "Calls that a policy of this node turned away: own ones, and those that it was asked to serve.",
  },
  transactionDuration: {
    name: "flyball_transaction_duration_seconds",
    type: "histogram",
    labels: ["outcome"],
    help: "Global transactions that this node began, until it heard how they ended, by the status that it heard.",
  },
  transactionsInFlight: {
    name: "flyball_transactions_in_flight",
    type: "gauge",
    labels: [],
    help: "Global transactions that this node has begun and not ended.",
  },
  transactionRetries: {
    name: "flyball_transaction_retries_total",
    type: "counter",
    labels: ["decision"],
    help: "Times that this node asked again for a commit or rollback, having heard no answer.",
  },
  branches: {
    name: "flyball_branches_total",
    type: "counter",
    labels: ["mode", "resource", "outcome"],
    help: "Steps of branches that this node answers for: registered, reported, finished, or to be tried again.",
  },
  lockConflicts: {
    name: "flyball_lock_conflicts_total",
    type: "counter",
    labels: ["resource"],
    help: "Times that a branch couldn't have its global locks, because another transaction had one of the rows.",
  },
  transactionStates: {
    name: "flyball_transaction_states_total",
    type: "counter",
    labels: ["state"],
    help: "Times that the embedded coordinator took a global transaction into a state.",
  },
  nodePhase: {
    name: "flyball_node_phase",
    type: "gauge",
    labels: ["phase"],
    help: "1 at the phase of life that this node is in, else 0.",
  },
  schedulingLag: {
    name: "flyball_scheduling_lag_seconds",
    type: "gauge",
    labels: [],
    help: "How late this node's timers fired at worst in about the last second; 0 when that was under a millisecond.",
  },
  target: {
    name: "target_info",
    type: "gauge",
    labels: ["service_name", "service_instance_id"],
    help: "Who this is.",
  },
  startTime: {
    name: "process_start_time_seconds",
    type: "gauge",
    labels: [],
    help: "When this node started, since the epoch: another value means that its counters began anew.",
  },
  cpu: {
    name: "process_cpu_seconds_total",
    type: "counter",
    labels: [],
    help: "Processor time of the node's process.",
  },
  memory: {
    name: "process_resident_memory_bytes",
    type: "gauge",
    labels: [],
    help: "Memory of the node's process.",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export interface MetricSpec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
}

/** Upper bounds of the duration buckets in seconds: those that OpenTelemetry's RPC conventions advise. */
export const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The value of a label that has met too many different ones already. */
export const other = "_OTHER";
