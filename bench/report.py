"""The tables that are printed, and the ratios in them, which are written as JSON too."""

NAMES = {"flightd": "flightd", "tuned": "DuckDB, tuned", "duckdb": "DuckDB", "polars": "Polars", "dataset": "pyarrow dataset"}

# What is wanted of flightd beside being faster: of which number, how it is called, and at most how much.
BESIDE = (
    ("p99_by_p50", "p99 of the calls, in times of their median", 3),
    ("cpu_at_once", "CPU of calls at once, in times of as many one after the other", 1.3),
    ("slowest_client", "slowest client's time, in times of the fastest's", None),
)


def ratios(line, result):
    """How flightd stands beside the rival that is its target, or beside the fastest."""
    ours = result["flightd"]
    others = {name: r for name, r in result.items() if name != "flightd"}
    rival, wanted = line.target or ("best", None)
    if rival == "best":
        rival = min(others, key=lambda name: others[name]["seconds"])
    theirs = others[rival]
    return {"rival": rival, "wanted": wanted, "faster": theirs["seconds"] / ours["seconds"], "memory": theirs["memory"] / ours["memory"],
            "cpu": theirs["cpu"] / ours["cpu"] if ours["cpu"] else None}


# In what the inputs of a series of lines are counted.
UNITS = {"rows": (1_000_000, "million rows"), "features": (1, "feature")}


def growth(results, series):
    """Neighbours in a series of lines, the larger in times of the smaller. Cost that grows linearly grows by fewer times than its
    input, because some is fixed; each, the seconds of CPU for a further unit, is then the same from step to step."""
    measured = {line.title: (line, result["flightd"]) for line, result in results}
    steps = []
    for what, titles in series.items():
        there = [measured[t] for t in titles if t in measured]
        for (small, a), (large, b) in zip(there, there[1:]):
            size = getattr(large.source, what) / getattr(small.source, what)
            more = (getattr(large.source, what) - getattr(small.source, what)) / UNITS[what][0]
            step = {"what": what, "from": small.title, "to": large.title, "input": size, "each": (b["cpu"] - a["cpu"]) / more}
            steps.append({**step, **{k: b[k] / a[k] if a[k] else None for k in ("seconds", "cpu", "memory")}})
    return steps


def show(results, steps):
    table("work", "flightd", "first batch", "CPU", "rivals", "times faster", "wanted", "memory")
    for line, result in results:
        ours, r = result["flightd"], ratios(line, result)
        others = ", ".join(f"{NAMES[name]} {seconds(o['seconds'])} (CPU {seconds(o['cpu'])}{first(o)})" for name, o in result.items() if name != "flightd")
        row(line.title, f"{seconds(ours['seconds'])}, {ours['memory'] / 2**20:.0f} MiB", seconds(ours.get("first")), seconds(ours["cpu"]), others,
            f"{r['faster']:.1f} ({NAMES[r['rival']]})", r["wanted"] or "", f"1/{r['memory']:.1f}")
    beside(results)
    if steps:
        table("cost grows linearly", "to", "input", "seconds", "CPU", "memory", "CPU for each further")
    for s in steps:
        row(s["from"], s["to"], *(times(s[k]) for k in ("input", "seconds", "cpu", "memory")), f"{UNITS[s['what']][1]} {seconds(s['each'])}")


def beside(results):
    rows = []
    for line, result in results:
        for key, what, most in BESIDE:
            if key in result["flightd"]:
                rivals = ", ".join(f"{NAMES[name]} {r[key]:.2f}" for name, r in result.items() if name != "flightd")
                rows.append((line.title, what, f"{result['flightd'][key]:.2f}", rivals, f"at most {most}" if most else ""))
    if rows:
        table("work", "", "flightd", "rivals", "wanted")
    for r in rows:
        row(*r)


def table(*columns):
    print()
    row(*columns)
    print("|" + "---|" * len(columns))


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |")


def first(r):
    return f", first batch {seconds(r['first'])}" if "first" in r else ""


def times(x):
    return "" if x is None else f"x {x:.1f}"


def seconds(s):
    if s is None:
        return ""
    return f"{s:.2f} s" if s >= 0.1 else f"{1000 * s:.0f} ms"
