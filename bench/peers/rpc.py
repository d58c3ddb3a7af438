"""A bare RPC in SimPy: think, net, the server's queue, net, and a timeout per RPC that is given up. Prints what it measured as JSON.

usage: rpc.py NODES RPCS
"""

import json
import random
import sys
import time

import simpy

NET = 100e-6
SERVICE = 5e-3
THINK = 20e-3
TIMEOUT = 1.0


def exchange(env, server, chance, answered):
    yield env.timeout(NET)
    with server.request() as turn:
        yield turn
        yield env.timeout(chance.expovariate(1 / SERVICE))
    yield env.timeout(NET)
    answered.succeed()


def client(env, servers, chance, count):
    while True:
        yield env.timeout(chance.expovariate(1 / THINK))
        answered = env.event()
        env.process(exchange(env, chance.choice(servers), chance, answered))
        timeout = env.timeout(TIMEOUT)
        # The condition lets go of the timeout once there is an answer; SimPy has no other way to take an event back.
        yield answered | timeout
        if not answered.triggered:
            raise RuntimeError("an RPC ran into its timeout")
        count[0] += 1
        if count[0] == count[1]:
            env.exit_event.succeed()


def main(nodes, rpcs):
    env = simpy.Environment()
    env.exit_event = env.event()
    chance = random.Random(1)
    servers = [simpy.Resource(env) for _ in range(nodes // 2)]
    count = [0, rpcs]
    for _ in range(nodes // 2):
        env.process(client(env, servers, chance, count))
    begun = time.perf_counter()
    env.run(until=env.exit_event)
    print(json.dumps({"rpcs": rpcs, "ms": (time.perf_counter() - begun) * 1000, "version": simpy.__version__}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
