/** A text in the languages of the page. */
export interface Text {
  readonly en: string;
  readonly zh: string;
}

/** What the page says by itself. */
export const words = {
  title: { en: "Flyball report", zh: "Flyball 报告" },
  passed: { en: "passed", zh: "通过" },
  run: { en: "run", zh: "运行" },
  world: { en: "world", zh: "世界" },
  seed: { en: "seed", zh: "种子" },
  verdict: { en: "verdict", zh: "结论" },
  calls: { en: "calls", zh: "调用" },
  failed: { en: "failed", zh: "失败" },
  checks: { en: "Expectations", zh: "期望" },
  check: { en: "expectation", zh: "期望" },
  observed: { en: "observed", zh: "观察到" },
  bound: { en: "bound", zh: "界限" },
  detects: { en: "detects", zh: "可检出" },
  trials: { en: "trials", zh: "试验数" },
  falseAlarm: { en: "false alarm", zh: "误报率" },
  timing: { en: "timing", zh: "计时" },
  broke: { en: "broke at", zh: "首次违反于" },
  faults: { en: "Faults", zh: "故障" },
  confirmed: { en: "took effect", zh: "已生效" },
  none: { en: "had no effect", zh: "未生效" },
  inconclusive: { en: "can't be seen", zh: "无法判断" },
  overTime: { en: "Over time", zh: "随时间变化" },
  rate: { en: "Rate", zh: "速率" },
  errors: { en: "Errors", zh: "错误" },
  latency: { en: "Latency", zh: "延迟" },
  attempts: { en: "Attempts per call", zh: "每次调用的尝试数" },
  attemptsPerCall: { en: "attempts per call", zh: "每次调用的尝试数" },
  shareOf: { en: "Share per instance of", zh: "各实例所占比例" },
  others: { en: "others", zh: "其他" },
  upTo: { en: "up to", zh: "最高" },
  slowest: { en: "The slowest calls", zh: "最慢的调用" },
  failedCalls: { en: "Failed calls", zh: "失败的调用" },
  ofFailed: { en: "at most ten: the first of each kind, then others", zh: "至多十个：先是每一类的第一个，再是其他的" },
  noAttempt: { en: "no attempt was made", zh: "没有发出任何尝试" },
  unfinished: { en: "not ended when the call was over", zh: "调用结束时尚未结束" },
  waiting: { en: "waiting", zh: "等待" },
  replay: { en: "Replay", zh: "重放" },
  records: { en: "records", zh: "记录" },
  agreement: { en: "Does the prediction hold?", zh: "预测是否成立？" },
  quantity: { en: "quantity", zh: "量" },
  tolerance: { en: "tolerance", zh: "容差" },
  brief: {
    en: "passed; of so many runs, charts are drawn only for those that didn't pass",
    zh: "通过；运行数量很多时，只为未通过的运行绘制图表",
  },
  bounded: {
    en: "A healthy system fails any of this with a probability of at most",
    zh: "健康的系统在这里出现任何失败的概率不超过",
  },
} as const satisfies Readonly<Record<string, Text>>;

/** The verdicts, each with a sign, because not everybody tells colours apart. */
export const verdicts = {
  pass: { sign: "✓", en: "pass", zh: "通过" },
  fail: { sign: "✗", en: "fail", zh: "失败" },
  error: { sign: "✗", en: "error", zh: "错误" },
  inconclusive: { sign: "~", en: "inconclusive", zh: "无定论" },
  unsupported: { sign: "–", en: "unsupported", zh: "不支持" },
} as const;
