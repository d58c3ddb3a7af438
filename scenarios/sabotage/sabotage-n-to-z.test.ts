import { sabotageScenarios } from "./suite.fixture.ts";

sabotageScenarios((name) => name >= "n");
