// A minute of steady load on the gateway of docker-compose.yml, beside what the storefront makes: for a look at k6 and at the
// dashboards. Scenarios make their own scripts (harness/load/k6/script.ts).
import { check } from "k6";
import http from "k6/http";

export const options = {
  scenarios: {
    shoppers: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 50),
      duration: __ENV.DURATION || "1m",
      preAllocatedVUs: 20,
      maxVUs: 200,
    },
  },
  thresholds: {
    http_req_failed: ["rate<0.01"],
    http_req_duration: ["p(95)<200"],
  },
};

export default function () {
  const response = http.post(`${__ENV.GATEWAY || "http://127.0.0.1:8080"}/do`);
  check(response, { "is answered by an order service": ({ body }) => /"orders\/\d+"/.test(body) });
}
