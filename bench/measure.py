"""Measuring a line: runs that alternate between the servers, answers that are compared, and what each took."""

import concurrent.futures
import statistics
import sys
import time

import numpy as np
import pyarrow as pa

import servers

CALLS = 100  # of work "small", in a round
CLIENTS, CALLS_OF_CLIENT = 8, 4


def measure(line, binary, folder, repeats):
    """{server: what its fastest round took, and its peak memory}; a wrong answer ends the run."""
    path = line.source.write(folder)
    entities = line.source.entity_rows(line.entities, line.days) if line.work not in ("all", "latest") else None
    running = [servers.flightd(binary, path, line)] + [servers.peer(engine, path, line) for engine in line.peers]
    if line.warm:
        servers.settle(path)
        join(running[0], line, entities)
    rounds, ours = {s.name: [] for s in running}, None
    for round in range(repeats):
        for s in running:
            took, answer = WORKS[line.work](s, line, entities)
            rounds[s.name].append(took)
            if round > 0:
                continue
            answer = in_order(answer, line)
            if s.name == "flightd":
                ours = answer
            elif answer != ours and not same(ours, answer):
                sys.exit(f"{line.title}: the answers of flightd and {s.name} differ")
    result = {s.name: {**summary(rounds[s.name]), "memory": s.peak_memory()} for s in running}
    for s in running:
        s.stop()
    return result


def summary(rounds):
    """The fastest of several rounds; p99 is that of the calls of all rounds, the first of them included."""
    best = dict(min(rounds, key=lambda took: took["seconds"]))
    if "calls" in best:
        best["p99"] = float(np.percentile(np.concatenate([took["calls"] for took in rounds]), 99))
        best["p99_by_p50"] = best["p99"] / best["seconds"]
        del best["calls"]
    return best


def one(ask):
    """A work that is one call: seconds in all and until the first batch, seconds of the server's processors, the answer."""
    def run(server, line, entities):
        cpu, start, first, batches = server.cpu(), time.perf_counter(), None, []
        for chunk in ask(server, line, entities):
            first = first or time.perf_counter()
            batches.append(chunk.data.num_rows if line.work == "all" else chunk.data)
        end = time.perf_counter()
        took = {"seconds": end - start, "first": first - start, "cpu": server.cpu() - cpu}
        return took, sum(batches) if line.work == "all" else pa.Table.from_batches(batches)
    return run


def join(server, line, entities, client=None):
    return pa.Table.from_batches([chunk.data for chunk in server.join(line, entities, client)])


def small(server, line, entities):
    """One call after the other: seconds are their median, cpu their mean."""
    cpu, calls = server.cpu(), []
    for _ in range(CALLS):
        start = time.perf_counter()
        answer = join(server, line, entities)
        calls.append(time.perf_counter() - start)
    return {"seconds": statistics.median(calls), "cpu": (server.cpu() - cpu) / CALLS, "calls": calls}, answer


def clients(server, line, entities):
    """Several clients at once: seconds and cpu of a call; how much more cpu that is than of as many calls one after the
    other; how much longer the slowest client takes for its calls than the fastest."""
    count = CLIENTS * CALLS_OF_CLIENT
    cpu = server.cpu()
    for _ in range(count):
        join(server, line, entities)
    alone = server.cpu() - cpu

    def work(_):
        with server.connect() as client:
            start = time.perf_counter()
            answers = [join(server, line, entities, client) for _ in range(CALLS_OF_CLIENT)]
            return time.perf_counter() - start, answers[-1]

    cpu, start = server.cpu(), time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
        done = list(threads.map(work, range(CLIENTS)))
    seconds, cpu = time.perf_counter() - start, server.cpu() - cpu
    totals = [total for total, _ in done]
    took = {"seconds": seconds / count, "cpu": cpu / count, "cpu_at_once": cpu / alone, "slowest_client": max(totals) / min(totals)}
    return took, done[-1][1]


WORKS = {
    "join": one(lambda server, line, entities: server.join(line, entities)),
    "latest": one(lambda server, line, _: server.rows("latest")),
    "all": one(lambda server, line, _: server.rows("all")),  # its answer is the number of rows alone
    "small": small,
    "clients": clients,
}


def in_order(answer, line):
    """The features of an answer in an order that all servers' can be brought into."""
    if line.work == "all":
        return answer
    if "__row" in answer.column_names:
        answer = answer.take(np.argsort(answer.column("__row").to_numpy()))
    elif line.work == "latest":
        answer = answer.sort_by([(k, "ascending") for k in line.source.key_columns])
    return answer.select(line.source.feature_columns).combine_chunks()


def same(ours, theirs):
    """Row-exact, but for dates of types that mean the same."""
    return isinstance(ours, pa.Table) and ours.equals(theirs.cast(ours.schema))
